package worker

import (
	"encoding/binary"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/seal"
	"joolctl/session"
	"joolctl/syncwire"
	"joolctl/worker/workertest"
)

// BenchmarkKey measures what the worker takes for a full report of new sessions, and for a datagram of a peer with as many, with a key and
// without. A socket stands in for the module, so the module's own work on a session is missing.
func BenchmarkKey(b *testing.B) {
	for _, mode := range []configdir.Security{configdir.SecurityOff, configdir.SecurityRequire} {
		for name, do := range map[string]func(*stepped, *seal.Channel) time.Duration{"out": keyOut, "in": keyIn} {
			b.Run(name+", security "+mode.String(), func(b *testing.B) { benchmarkKey(b, mode, do) })
		}
	}
}

// benchmarkKey measures with a peer whose key the worker accepts. do returns how long the worker took for batch datagrams.
func benchmarkKey(b *testing.B, mode configdir.Security, do func(*stepped, *seal.Channel) time.Duration) {
	newTestbed(b, 2).standby(0).keyed(configdir.SecurityAccept, seal.NewKey(1)).step(func(d *stepped) {
		peer := d.peer(b)
		if peer == nil {
			return
		}
		if d.mode = mode; mode == configdir.SecurityOff {
			d.channel = nil
		}
		d.greetAt = time.Now().Add(time.Hour)
		var took time.Duration
		for n := 0; n < b.N; n += batch {
			took += do(d, peer)
		}
		b.ReportMetric(float64(took.Nanoseconds())/float64(b.N), "ns/datagram")
	})
}

// newList returns a list of the next 36 sessions.
func (d *stepped) newList() []byte {
	const sessions = 36
	d.first += sessions
	return inFormat(d.t, d.format, d.first-sessions, sessions)
}

// keyOut gives the worker full reports.
func keyOut(d *stepped, _ *seal.Channel) (took time.Duration) {
	for range batch / multicasts {
		for range multicasts {
			if _, err := unix.Write(d.multicasts, workertest.Multicast(jool4115, "nat", d.newList())); err != nil {
				panic(err)
			}
		}
		began := time.Now()
		d.takeReports()
		took += time.Since(began)
		d.read(d.requests)
		d.sentAre(multicasts, 1)
	}
	return took
}

// keyIn gives the worker datagrams of the peer.
func keyIn(d *stepped, peer *seal.Channel) (took time.Duration) {
	for range batch {
		d.last++
		datagram := syncwire.Trailer{Sender: 0x10f, Seq: d.last}.Append(d.newList())
		if d.mode == configdir.SecurityRequire {
			sealed := append(make([]byte, seal.HeadLen), syncwire.AppendSealed(nil, datagram, session.Packed40)...)
			datagram = peer.Seal(nil, sealed[seal.HeadLen:], time.Now())
		}
		if err := d.to.Send(d.group, datagram); err != nil {
			panic(err)
		}
	}
	for adds := 0; adds < batch; {
		d.wait(d.socket.fd)
		began := time.Now()
		d.fromNetwork()
		took += time.Since(began)
		for n, _ := unix.Read(d.requests, d.buf); n > 0; n, _ = unix.Read(d.requests, d.buf) {
			for b := d.buf[:n]; len(b) > 0; b = b[binary.NativeEndian.Uint32(b):] {
				adds++
			}
		}
	}
	return took
}
