package retention

// Take has the keeper remove so many rows of a history in one transaction.
func (k *Keeper) Take(runs int) *Keeper {
	k.runs = runs
	return k
}
