package joolnl

// MulticastGroup returns the number of the Generic Netlink group to which the module multicasts its sessions, or ErrNoModule.
func MulticastGroup() (uint32, error) {
	_, group, err := resolve()
	return group, err
}
