package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"time"

	"github.com/spf13/cobra"

	"joolctl/cmd/internal/version"
	"joolctl/configdir"
	"joolctl/doctor"
	"joolctl/supervisor"
)

func newBundle(p *program) *cobra.Command {
	return &cobra.Command{
		Use:   "bundle [FILE]",
		Short: "Write the data of a bug report into one file",
		Long: `Write status, ready, events, metrics, the results of doctor, versions and the
files of the pairs into one FILE (default: joolctl-HOST-TIME.tar.gz in the
current directory). It has no keys, and no address of a session. Needs root for
the checks of doctor. Without a supervisor, the file lacks what only a
supervisor knows.`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			host, err := os.Hostname()
			if err != nil {
				return failed{err}
			}
			now := time.Now()
			name := fmt.Sprintf("joolctl-%s-%s", host, now.UTC().Format("20060102T150405Z"))
			file := name + ".tar.gz"
			if len(args) > 0 {
				file = args[0]
			}
			if err := p.bundle(cmd.Context(), file, name, now); err != nil {
				return failed{err}
			}
			fmt.Fprintf(p.stdout, "made %s; look into it before you pass it on: it has the configuration and the addresses of this host and its peers\n", file)
			return nil
		},
	}
}

// bundle writes the bundle. It does not overwrite a file.
func (p *program) bundle(ctx context.Context, file, name string, now time.Time) error {
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	compressed := gzip.NewWriter(f)
	out := tar.NewWriter(compressed)
	for _, part := range p.bundleParts(ctx) {
		header := &tar.Header{Name: path.Join(name, part.name), Mode: 0o600, Size: int64(len(part.content)), ModTime: now}
		if err := out.WriteHeader(header); err != nil {
			return err
		}
		if _, err := out.Write(part.content); err != nil {
			return err
		}
	}
	for _, c := range []io.Closer{out, compressed, f} {
		if err := c.Close(); err != nil {
			return err
		}
	}
	return nil
}

// bundlePart is a file of the bundle.
type bundlePart struct {
	name    string
	content []byte
}

// bundleParts collects the files of the bundle. If a file can't be made, the bundle contains the error instead.
func (p *program) bundleParts(ctx context.Context) (parts []bundlePart) {
	add := func(name string, content []byte, err error) {
		if err != nil {
			name, content = name+".error", []byte(err.Error()+"\n")
		}
		parts = append(parts, bundlePart{name, content})
	}
	addJSON := func(name string, v any, err error) {
		var b bytes.Buffer
		if err == nil {
			err = writeJSON(&b, v)
		}
		add(name, b.Bytes(), err)
	}
	client := p.client()
	addJSON("version.json", version.Get(), nil)
	status, err := client.Status(ctx, nil)
	addJSON("status.json", status, err)
	ready, err := client.Ready(ctx, nil, true, supervisor.ReadyOptions{})
	addJSON("ready.json", ready, err)
	events, err := client.Events(ctx, nil, supervisor.EventsOptions{})
	addJSON("events.json", events, err)
	var metrics bytes.Buffer
	err = client.Metrics(ctx, "text/plain", true, &metrics)
	add("metrics.txt", metrics.Bytes(), err)
	options := p.doctorOptions(ctx, nil)
	addJSON("doctor.json", doctor.Run(ctx, options), nil)
	result, err := configdir.Check(options.Dir)
	addJSON("check.json", checkedOf(result), err)
	for _, pair := range result.Pairs {
		for _, file := range []struct{ name, path string }{{"netsocket.json", pair.Netsocket}, {"modsocket.json", pair.Modsocket}} {
			content, err := readPairFile(file.path)
			add(path.Join("pairs", pair.Name, file.name), content, err)
		}
	}
	return parts
}

// readPairFile reads a file of a pair if it contains a JSON object. Other content may be secret, such as a key file
// under a wrong name.
func readPairFile(name string) ([]byte, error) {
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, new(map[string]any)); err != nil {
		return nil, fmt.Errorf("%s is left out, because it is not a JSON object: %w", name, err)
	}
	return content, nil
}
