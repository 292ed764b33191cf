package store

// PageOf runs the paging of listings over a sorted list of keys and tells how many rows
// it has read.
func PageOf(keys []string, l Listing) (p Page[string], read int) {
	p, err := page(l, func(from Position, end []byte, limit int) ([]string, error) {
		var rows []string
		for _, k := range keys {
			if k >= from.Key && k < string(end) && len(rows) < limit {
				rows = append(rows, k)
			}
		}
		read += len(rows)
		return rows, nil
	}, func(k string) (string, Position, Position) { return k, AtKey(k), AfterKey(k) })
	if err != nil {
		panic(err) // fetch has none
	}
	return p, read
}
