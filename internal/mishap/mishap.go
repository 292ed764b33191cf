// Package mishap lets tests have things go wrong inside the real binary: the process kills
// itself at a named point between two steps, or its clock is set. It does so only in a binary
// that is built with the tag mishap; in any other nothing of it is left.
package mishap

// Point names a place between two steps of which the first is done, or as good as done, and
// the second is not.
type Point string

// The points, by the package they are in.
const (
	// StoreCommit is before a commit, StoreCommitted after it, before anybody is told.
	StoreCommit    Point = "store.commit"
	StoreCommitted Point = "store.committed"
	// BlobWritten is when the bytes are on the disk and have no name yet.
	BlobWritten Point = "blob.written"
	// ObjectStored is when the bytes of an object are kept and its row is not, ObjectKept when
	// the row is.
	ObjectStored Point = "s3.stored"
	ObjectKept   Point = "s3.kept"
	// RefsMoved is when git has moved branches and nobody was told, RefsTold when pipelines have
	// been started and that is not kept yet.
	RefsMoved Point = "codecommit.moved"
	RefsTold  Point = "codecommit.told"
	// EventsDelivered is when events were taken by the rules and still are in the outbox.
	EventsDelivered Point = "conductor.delivered"
	// JobClaimed is before the provider of a job runs, JobDone after it, JobReported when its
	// result is kept.
	JobClaimed  Point = "worker.claimed"
	JobDone     Point = "worker.done"
	JobReported Point = "worker.reported"
	// BuildEnded is before the end of a build is kept, BuildSaved after it.
	BuildEnded Point = "codebuild.ended"
	BuildSaved Point = "codebuild.saved"
	// DeliveryClaimed is before a delivery, DeliveryDone after it, before that is kept.
	DeliveryClaimed Point = "courier.claimed"
	DeliveryDone    Point = "courier.delivered"
)

// Points lists all of them.
var Points = []Point{
	StoreCommit, StoreCommitted, BlobWritten, ObjectStored, ObjectKept, RefsMoved, RefsTold, EventsDelivered,
	JobClaimed, JobDone, JobReported, BuildEnded, BuildSaved, DeliveryClaimed, DeliveryDone,
}
