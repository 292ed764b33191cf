package sns

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/smtp"
	"net/textproto"
	"net/url"
	"regexp"
	"sync"

	"penstock/internal/courier"
	"penstock/internal/store"
)

// Mailer hands mail to one SMTP server. It is safe for concurrent use.
type Mailer struct {
	host, address string
	// implicit says that the connection begins with TLS; otherwise it is used if offered.
	implicit bool
	user     string
	password store.Secret
	from     string
	trust    *tls.Config // nil is the machine's certificates
}

// NewMailer makes a Mailer for a server, smtp://user:password@host:port or smtps://…, and an
// address that mail is from. Without a port it is 587, or 465 for smtps.
func NewMailer(server, from string) (*Mailer, error) {
	u, err := url.Parse(server)
	if err != nil || u.Hostname() == "" || u.Scheme != "smtp" && u.Scheme != "smtps" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("it is like smtp://user:password@mail.example.org:587 or smtps://mail.example.org") // without the text, which may hold a password
	}
	if !mailForm().MatchString(from) {
		return nil, fmt.Errorf("the address that mail is from, %q, is not like penstock@example.org", from)
	}
	m := &Mailer{host: u.Hostname(), implicit: u.Scheme == "smtps", from: from, user: u.User.Username()}
	password, _ := u.User.Password()
	m.password = store.Secret(password)
	port := u.Port()
	switch {
	case port != "":
	case m.implicit:
		port = "465"
	default:
		port = "587"
	}
	m.address = net.JoinHostPort(m.host, port)
	return m, nil
}

// mailForm are the addresses that mail is sent to: no quotes, comments, spaces or line breaks,
// so that nothing but an address ever stands where one is written.
var mailForm = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile("^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?([.][A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$")
})

// send hands over one message, which has lines ending in CR LF. What the server refuses for good
// is marked by courier.GiveUp.
func (m *Mailer) send(ctx context.Context, to string, message []byte) error {
	conn, err := (&net.Dialer{Timeout: deadline}).DialContext(ctx, "tcp", m.address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if at, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(at); err != nil {
			return err
		}
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	secure := m.trust.Clone()
	if secure == nil {
		secure = &tls.Config{}
	}
	secure.ServerName = m.host
	if m.implicit {
		conn = tls.Client(conn, secure)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return err
	}
	defer c.Close()
	if ok, _ := c.Extension("STARTTLS"); ok && !m.implicit {
		if err := c.StartTLS(secure); err != nil {
			return err
		}
	}
	if m.user != "" {
		// PlainAuth sends no password over a network without TLS.
		if err := c.Auth(smtp.PlainAuth("", m.user, string(m.password), m.host)); err != nil {
			return fmt.Errorf("the mail server does not let this server in: %w", err)
		}
	}
	if err := c.Mail(m.from); err != nil {
		return judged(err)
	}
	if err := c.Rcpt(to); err != nil {
		return judged(err)
	}
	w, err := c.Data()
	if err != nil {
		return judged(err)
	}
	if _, err := w.Write(message); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return judged(err)
	}
	_ = c.Quit() // it has the message
	return nil
}

// judged marks what a mail server will refuse again.
func judged(err error) error {
	var answer *textproto.Error
	if errors.As(err, &answer) && answer.Code >= 500 {
		return courier.GiveUp(err)
	}
	return err
}

// sender is the From of mail for a topic.
func (m *Mailer) sender(display string) string {
	if display == "" {
		display = "AWS Notifications"
	}
	return (&mail.Address{Name: display, Address: m.from}).String()
}
