package store

import (
	"sync"

	"penstock/internal/pipeline"
)

// declarationKey names one stored version, which never changes.
type declarationKey struct {
	pipeline string
	version  int
}

// declarationCache keeps parsed definitions. When it is full it starts anew: a definition is
// a primary-key read away. The zero value is ready; it is safe for concurrent use.
type declarationCache struct {
	mu sync.RWMutex
	m  map[declarationKey]*pipeline.Declaration
}

const maxDeclarations = 2048

func (c *declarationCache) get(k declarationKey) (*pipeline.Declaration, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	d, ok := c.m[k]
	return d, ok
}

func (c *declarationCache) put(k declarationKey, d *pipeline.Declaration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil || len(c.m) >= maxDeclarations {
		c.m = map[declarationKey]*pipeline.Declaration{}
	}
	c.m[k] = d
}
