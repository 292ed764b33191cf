package codedeploy

// minimumOf gives how many of n instances a configuration wants to stay healthy (E.1): a
// percentage is rounded up, and with MOST_CONCURRENCY all but so many are meant.
func minimumOf(kind string, value, n int) int {
	switch kind {
	case fleetPercent:
		return (n*value + 99) / 100
	case mostConcurrency:
		return max(n-value, 0)
	}
	return value
}

// member is an instance as the arithmetic sees it. Healthy says how the last deployment before
// this one ended.
type member struct {
	status  string
	healthy bool
}

// decision is what follows from the states of a deployment's instances.
type decision struct {
	// begin are the places of the members that are deployed to now.
	begin []int
	// skip says that no further one will be.
	skip bool
	// end is Succeeded or Failed once nothing is in progress and nothing follows, with the
	// error code of a failure.
	end, code string
}

// decide says how a deployment goes on (E.1). The members stand in the order in which they are
// deployed to, those that are not healthy first.
//
// An instance counts as available as long as it has not failed and is not being deployed to. One
// more is begun only while more than the minimum are available; as all that are not healthy come
// first, those that are available when a healthy one begins are all really healthy, and so their
// number never falls below the minimum by our doing.
func decide(members []member, minimum int) decision {
	count := map[string]int{}
	for _, m := range members {
		count[m.status]++
	}
	n := len(members)
	switch {
	case n == 0:
		return decision{end: failed, code: noInstances}
	case minimum > n:
		return decision{skip: true, end: failed, code: healthImpossible}
	}
	// After a failure nobody else may be taken out of service: what is left to do cannot be done.
	skip := count[skipped] > 0 || count[failed] > 0 && count[pending] > 0 && n-count[failed] <= minimum
	if skip || count[pending] == 0 {
		d := decision{skip: count[pending] > 0}
		if count[inProgress] > 0 {
			return d
		}
		// One must succeed, whatever the minimum is.
		if d.end = succeeded; skip || count[succeeded] == 0 || n-count[failed] < minimum {
			d.end, d.code = failed, healthConstraints
		}
		return d
	}
	var d decision
	available := n - count[failed] - count[inProgress]
	for i, m := range members {
		if m.status != pending {
			continue
		}
		// Where all must be healthy, the ones that are not can still be deployed to, one by one.
		repair := minimum == n && !m.healthy && count[inProgress]+len(d.begin) == 0
		if available-len(d.begin) <= minimum && !repair {
			break
		}
		d.begin = append(d.begin, i)
	}
	if len(d.begin) == 0 && count[inProgress] == 0 {
		d = decision{skip: true, end: failed, code: healthConstraints}
		if count[succeeded] == 0 {
			d.code = healthImpossible
		}
	}
	return d
}
