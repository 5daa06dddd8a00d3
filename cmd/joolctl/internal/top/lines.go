package top

import (
	"context"
	"fmt"
	"io"
	"time"

	"joolctl/cmd/joolctl/internal/table"
)

// Lines writes a table at each interval until the context ends. An outage of the supervisor is one line. Lines returns an error if
// the supervisor does not answer the first question.
func Lines(ctx context.Context, o Options, w io.Writer) error {
	down := "" // the line of the present outage
	for first := true; ; first = false {
		status, err := o.Ask(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && first:
			return err
		case err != nil:
			if line := o.Explain(err); line != down {
				down = line
				_, err = fmt.Fprintf(w, "\n%s\n", line)
			} else {
				err = nil
			}
		default:
			down = ""
			if !first {
				fmt.Fprintln(w)
			}
			o.Order.Sort(status.Workers)
			err = table.Write(w, status, table.Options{Now: time.Now(), Colours: o.Colours})
		}
		if err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(o.Interval):
		}
	}
}
