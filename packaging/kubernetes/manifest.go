// Package kubernetes has the example of a DaemonSet, and reads it for tests.
package kubernetes

import (
	_ "embed"
	"errors"
	"io"
	"strings"

	"go.yaml.in/yaml/v3"
)

//go:embed joolctl.yaml
var manifest string

// Example is the part of the example manifest that tests use.
type Example struct {
	// Files maps names of files to their content.
	Files map[string]string
	// Capabilities are those of the container, without CAP_.
	Capabilities []string
	// Args are the arguments of joolctl, and Probe is the command that tells whether the container is ready.
	Args, Probe []string
	// Mounts are directories of the container.
	Mounts []string
}

// object has the fields of a ConfigMap or a DaemonSet that an Example needs.
type object struct {
	Data map[string]string
	Spec struct {
		Template struct {
			Spec struct {
				Containers []struct {
					Args           []string
					ReadinessProbe struct {
						Exec struct{ Command []string }
					} `yaml:"readinessProbe"`
					SecurityContext struct {
						Capabilities struct{ Add []string }
					} `yaml:"securityContext"`
					VolumeMounts []struct {
						MountPath string `yaml:"mountPath"`
					} `yaml:"volumeMounts"`
				}
			}
		}
	}
}

// Read reads the example.
func Read() (e Example, err error) {
	d := yaml.NewDecoder(strings.NewReader(manifest))
	for {
		var o object
		if err := d.Decode(&o); errors.Is(err, io.EOF) {
			return e, nil
		} else if err != nil {
			return e, err
		}
		if o.Data != nil {
			e.Files = o.Data
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			e.Args, e.Probe, e.Capabilities = c.Args, c.ReadinessProbe.Exec.Command, c.SecurityContext.Capabilities.Add
			for _, m := range c.VolumeMounts {
				e.Mounts = append(e.Mounts, m.MountPath)
			}
		}
	}
}
