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
	"syscall"
	"time"
)

const (
	dialTime = 5 * time.Second
	headTime = 15 * time.Second
	maxHead  = 64 << 10
)

// ErrPrivate says that an address belongs to this machine or to a network that is not the
// internet, and that the server does not call such addresses.
var ErrPrivate = errors.New("the address is private, and this server calls such targets only with --allow-private-targets")

// Client makes an HTTP client for addresses that users give: it follows no redirects, uses no
// proxy, and unless private is true it connects to public addresses only. The address that
// is looked at is the one that is dialled, so that a name cannot change its mind in between.
func Client(private bool) *http.Client {
	dialer := &net.Dialer{Timeout: dialTime}
	if !private {
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil || !Public(a.Addr()) {
				return fmt.Errorf("%s: %w", address, ErrPrivate)
			}
			return nil
		}
	}
	return &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: dialTime, ResponseHeaderTimeout: headTime, MaxResponseHeaderBytes: maxHead,
			MaxIdleConns: 100, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// reserved are the blocks that net/netip does not know as private and that are not the
// internet either: shared, documentation, benchmarks, and ways to write IPv4 within IPv6.
var reserved = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("192.88.99.0/24"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("240.0.0.0/4"),
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
