package squashfs

import (
	"container/list"
	"sync"
)

// cache keeps the most recently used values, at most limit of them. It is safe for concurrent
// use; two goroutines that miss at once both make the value, and the last one stays.
type cache[K comparable, V any] struct {
	mu    sync.Mutex
	limit int
	items map[K]*list.Element
	order *list.List // of cached[K, V], most recent first
}

type cached[K comparable, V any] struct {
	key   K
	value V
}

func newCache[K comparable, V any](limit int) *cache[K, V] {
	return &cache[K, V]{limit: limit, items: make(map[K]*list.Element), order: list.New()}
}

func (c *cache[K, V]) get(key K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[key]
	if !ok {
		var none V
		return none, false
	}
	c.order.MoveToFront(e)
	return e.Value.(cached[K, V]).value, true
}

func (c *cache[K, V]) put(key K, value V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.items[key]; ok {
		e.Value = cached[K, V]{key, value}
		c.order.MoveToFront(e)
		return
	}
	c.items[key] = c.order.PushFront(cached[K, V]{key, value})
	if len(c.items) <= c.limit {
		return
	}
	last := c.order.Back()
	delete(c.items, c.order.Remove(last).(cached[K, V]).key)
}
