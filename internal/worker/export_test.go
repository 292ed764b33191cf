package worker

import "time"

// LookEvery has leases looked at more often than they are renewed. It is for tests in which
// time passes as it does for everybody.
func (w *Worker) LookEvery(d time.Duration) { w.every = d }
