package main

import (
	"log/slog"

	"golang.org/x/sys/unix"

	"joolctl/configdir"
	"joolctl/privilege"
)

// entersNamespaces reports whether a pair's worker has to enter network namespaces other than the program's own. It may
// have to do so at any time, because a namespace can be deleted and created again.
func entersNamespaces(spec configdir.Spec) bool {
	own := func(ns string) bool { return ns == "" || ns == configdir.OwnNamespace }
	return !own(spec.Namespace) || !own(spec.NetNamespace)
}

// giveUpNamespaces drops the privilege to enter namespaces if the pair does not need it. CAP_NET_ADMIN stays: the module
// requires it for each request.
func giveUpNamespaces(spec configdir.Spec, log *slog.Logger) {
	if entersNamespaces(spec) {
		return
	}
	if err := privilege.Drop(unix.CAP_SYS_ADMIN); err != nil {
		log.Warn("cannot drop CAP_SYS_ADMIN, which this pair does not need", "error", err)
	}
}
