// Package egress is the one way out to addresses that users give: it looks at the address that
// is dialled, so that nobody uses the server to look around in the network behind it.
package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"
)

const (
	dialTime = 5 * time.Second
	headTime = 15 * time.Second
	maxHead  = 64 << 10
)

// ErrPrivate says that an address is none of the internet, and that the server does not call it.
var ErrPrivate = errors.New("the address is not one of the internet; with --allow-private-targets this server calls this machine and private networks too, but never link-local addresses or those of cloud metadata")

// Client makes an HTTP client for addresses that users give: it follows no redirects, uses no
// proxy, and connects only where Allowed says. The address that is looked at is the one that
// is dialled, so that a name cannot change its mind in between.
func Client(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil || !Allowed(a.Addr(), private) {
			return fmt.Errorf("%s: %w", address, ErrPrivate)
		}
		return nil
	}}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: headTime, MaxResponseHeaderBytes: maxHead,
			MaxIdleConns: 100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// metadata are where clouds give machines their credentials, in networks that are private
// otherwise: Amazon's and Google's of IPv6. Those of IPv4 are link-local or reserved.
var metadata = []netip.Prefix{netip.MustParsePrefix("fd00:ec2::/32"), netip.MustParsePrefix("fd20:ce::/32")}

// reserved are the blocks that net/netip does not know as private and that are not the
// internet either: shared, documentation, benchmarks, ways to write IPv4 within IPv6, and the
// one address at which Azure answers its machines.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("168.63.129.16/32"),
	netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("3fff::/20"),
}

// global is what IPv6 has assigned so far.
var global = netip.MustParsePrefix("2000::/3")

// Public says whether an address is one of the internet.
func Public(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsValid() || !a.IsGlobalUnicast() || a.IsPrivate() || a.Is6() && !global.Contains(a) {
		return false
	}
	for _, block := range reserved {
		if block.Contains(a) {
			return false
		}
	}
	return true
}

// Allowed says whether an address that a user gave may be called: one of the internet, and if
// private is true this machine and private networks too. A link-local address is nobody's
// target: it is the machine's own neighbourhood, where its credentials are.
func Allowed(a netip.Addr, private bool) bool {
	if !private || Public(a) {
		return Public(a)
	}
	a = a.Unmap()
	return a.IsLoopback() || a.IsPrivate() && !slices.ContainsFunc(metadata, func(block netip.Prefix) bool { return block.Contains(a) })
}
