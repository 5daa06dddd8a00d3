package worker

import (
	"cmp"
	"context"

	"joolctl/configdir"
	"joolctl/replication"
)

// Advertise starts to send the whole table for upstream's joolds, at the spec's rate; other peers receive a full sync. It returns at
// once, and Sync returns the progress. It fails if another advertise is under way, or if the worker is not running.
func (w *Worker) Advertise(ctx context.Context) (replication.Advertise, error) {
	return askPumps(ctx, w, func(p *pumps) (replication.Advertise, error) {
		rate := cmp.Or(w.spec().AdvertiseRate, configdir.Defaults().AdvertiseRate)
		return p.host.Advertise(rate, p.do.now())
	})
}

// advertised publishes the progress of an advertise, and logs its end.
func (p *pumps) advertised(a replication.Advertise) {
	switch {
	case a.Error != "":
		p.w.log.warn("an advertise has failed", "sent", a.Sent, "of", a.Total, "error", a.Error)
	case a.Ended:
		p.w.log.to().Info("the session table was advertised", "sessions", a.Sent)
	}
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	p.w.state.Advertise = &a
}
