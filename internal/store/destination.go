package store

import (
	"context"
	"database/sql"
	"time"
)

// EventConnection is a connection of EventBridge: how requests to the destinations that use it
// are authorised.
type EventConnection struct {
	Account, Region, Name string
	// ID tells it from a later one of the same name.
	ID               string
	Created, Changed time.Time
	// Doc is the room's.
	Doc string
	// Sealed is what [Tx.EventConnectionAuth] opens; it tells nothing.
	Sealed string
}

func (c *EventConnection) place() []string {
	return []string{"events-connection", c.Account, c.Region, c.Name, c.ID}
}

const eventConnectionColumns = `account, region, name, id, created, changed, doc, sealed`

func scanEventConnection(rows *sql.Rows) (EventConnection, error) {
	var c EventConnection
	var created, changed int64
	err := rows.Scan(&c.Account, &c.Region, &c.Name, &c.ID, &created, &changed, &c.Doc, &c.Sealed)
	c.Created, c.Changed = fromMicros(created), fromMicros(changed)
	return c, err
}

// AddEventConnection keeps a new connection, created now, with what authorises; ErrExists if the
// name is taken.
func (tx *Tx) AddEventConnection(ctx context.Context, c EventConnection, auth Secret) error {
	sealed, err := tx.seal(auth, c.place()...)
	if err != nil {
		return err
	}
	now := micros(tx.Now())
	return tx.insert(ctx, `INSERT INTO events_connection (`+eventConnectionColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
		ON CONFLICT (account, region, name) DO NOTHING`, c.Account, c.Region, c.Name, c.ID, now, now, c.Doc, sealed)
}

// SetEventConnection replaces the document of a connection and what authorises; it was changed
// now.
func (tx *Tx) SetEventConnection(ctx context.Context, c EventConnection, auth Secret) error {
	sealed, err := tx.seal(auth, c.place()...)
	if err != nil {
		return err
	}
	_, err = tx.exec(ctx, `UPDATE events_connection SET changed = $4, doc = $5, sealed = $6 WHERE account = $1 AND region = $2 AND name = $3`,
		c.Account, c.Region, c.Name, micros(tx.Now()), c.Doc, sealed)
	return err
}

// SetEventConnectionDoc replaces the document of a connection that nobody has changed since it was
// read; that is no change of it.
func (tx *Tx) SetEventConnectionDoc(ctx context.Context, c EventConnection) error {
	_, err := tx.exec(ctx, `UPDATE events_connection SET doc = $6 WHERE account = $1 AND region = $2 AND name = $3 AND id = $4 AND changed = $5`,
		c.Account, c.Region, c.Name, c.ID, micros(c.Changed), c.Doc)
	return err
}

// EventConnectionAuth opens what authorises.
func (tx *Tx) EventConnectionAuth(c EventConnection) (Secret, error) {
	return tx.unseal(c.Sealed, c.place()...)
}

// GetEventConnection finds a connection; ErrNotFound if there is none.
func (tx *Tx) GetEventConnection(ctx context.Context, account, region, name string) (EventConnection, error) {
	return tx.oneEventConnection(ctx, account, region, name, "")
}

// LockEventConnection is GetEventConnection for one that the transaction is about to change.
func (tx *Tx) LockEventConnection(ctx context.Context, account, region, name string) (EventConnection, error) {
	return tx.oneEventConnection(ctx, account, region, name, tx.forUpdate())
}

func (tx *Tx) oneEventConnection(ctx context.Context, account, region, name, lock string) (EventConnection, error) {
	return first(all(ctx, tx, `SELECT `+eventConnectionColumns+` FROM events_connection WHERE account = $1 AND region = $2 AND name = $3`+lock,
		[]any{account, region, name}, scanEventConnection))
}

// ListEventConnections gives a page of the connections whose names begin with the prefix, by
// name.
func (tx *Tx) ListEventConnections(ctx context.Context, account, region, prefix string, page Keyset) ([]EventConnection, error) {
	return all(ctx, tx, `SELECT `+eventConnectionColumns+` FROM events_connection WHERE account = $1 AND region = $2 AND name > $3
		AND name >= $4 AND name < $5 ORDER BY name LIMIT $6`,
		[]any{account, region, page.After, prefix, prefix + "\U0010FFFF", page.Limit}, scanEventConnection)
}

// CountEventConnections counts the connections of an account in a Region.
func (tx *Tx) CountEventConnections(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM events_connection WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DeleteEventConnection removes a connection.
func (tx *Tx) DeleteEventConnection(ctx context.Context, account, region, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM events_connection WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}

// EventDestination is an API destination of EventBridge: an endpoint of HTTP.
type EventDestination struct {
	Account, Region, Name string
	// ID tells it from a later one of the same name.
	ID string
	// Connection and ConnectionID are the name and id of its connection.
	Connection, ConnectionID string
	Created, Changed         time.Time
	// Doc is the room's.
	Doc string
	// Connected says that its connection is still there; reading sets it.
	Connected bool
}

const (
	eventDestinationColumns = `account, region, name, id, connection, connection_id, created, changed, doc`
	selectEventDestination  = `SELECT ` + eventDestinationColumns + `, EXISTS (SELECT 1 FROM events_connection c
		WHERE c.account = d.account AND c.region = d.region AND c.name = d.connection AND c.id = d.connection_id) FROM events_destination d`
)

func scanEventDestination(rows *sql.Rows) (EventDestination, error) {
	var d EventDestination
	var created, changed int64
	err := rows.Scan(&d.Account, &d.Region, &d.Name, &d.ID, &d.Connection, &d.ConnectionID, &created, &changed, &d.Doc, &d.Connected)
	d.Created, d.Changed = fromMicros(created), fromMicros(changed)
	return d, err
}

// AddEventDestination keeps a new destination, created now; ErrExists if the name is taken.
func (tx *Tx) AddEventDestination(ctx context.Context, d EventDestination) error {
	now := micros(tx.Now())
	return tx.insert(ctx, `INSERT INTO events_destination (`+eventDestinationColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
		ON CONFLICT (account, region, name) DO NOTHING`, d.Account, d.Region, d.Name, d.ID, d.Connection, d.ConnectionID, now, now, d.Doc)
}

// SetEventDestination replaces the document and the connection of a destination; it was changed
// now.
func (tx *Tx) SetEventDestination(ctx context.Context, d EventDestination) error {
	_, err := tx.exec(ctx, `UPDATE events_destination SET changed = $4, doc = $5, connection = $6, connection_id = $7
		WHERE account = $1 AND region = $2 AND name = $3`, d.Account, d.Region, d.Name, micros(tx.Now()), d.Doc, d.Connection, d.ConnectionID)
	return err
}

// GetEventDestination finds a destination; ErrNotFound if there is none.
func (tx *Tx) GetEventDestination(ctx context.Context, account, region, name string) (EventDestination, error) {
	return tx.oneEventDestination(ctx, account, region, name, "")
}

// LockEventDestination is GetEventDestination for one that the transaction is about to change.
func (tx *Tx) LockEventDestination(ctx context.Context, account, region, name string) (EventDestination, error) {
	return tx.oneEventDestination(ctx, account, region, name, tx.forUpdate())
}

func (tx *Tx) oneEventDestination(ctx context.Context, account, region, name, lock string) (EventDestination, error) {
	return first(all(ctx, tx, selectEventDestination+` WHERE account = $1 AND region = $2 AND name = $3`+lock,
		[]any{account, region, name}, scanEventDestination))
}

// ListEventDestinations gives a page of the destinations whose names begin with the prefix, by
// name: those of one connection, or of all if its id is empty.
func (tx *Tx) ListEventDestinations(ctx context.Context, account, region, prefix, connectionID string, page Keyset) ([]EventDestination, error) {
	return all(ctx, tx, selectEventDestination+` WHERE account = $1 AND region = $2 AND name > $3
		AND name >= $4 AND name < $5 AND ($6 = '' OR connection_id = $6) ORDER BY name LIMIT $7`,
		[]any{account, region, page.After, prefix, prefix + "\U0010FFFF", connectionID, page.Limit}, scanEventDestination)
}

// CountEventDestinations counts the destinations of an account in a Region.
func (tx *Tx) CountEventDestinations(ctx context.Context, account, region string) (int, error) {
	var n int
	err := tx.one(ctx, `SELECT count(*) FROM events_destination WHERE account = $1 AND region = $2`, []any{account, region}, &n)
	return n, err
}

// DeleteEventDestination removes a destination.
func (tx *Tx) DeleteEventDestination(ctx context.Context, account, region, name string) error {
	_, err := tx.exec(ctx, `DELETE FROM events_destination WHERE account = $1 AND region = $2 AND name = $3`, account, region, name)
	return err
}
