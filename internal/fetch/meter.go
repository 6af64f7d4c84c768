package fetch

import "mkbuild/internal/ui"

// Progress is reported each percent, but no more often than meterStep bytes.
const meterStep = 256 << 10

// quietSize is the size up to which index files (Fresh or Optional) pass without an event: a
// build asks for two of them per extension.
const quietSize = 64 << 10

// meter thins out progress events, without a clock.
type meter struct {
	sink              ui.Sink
	item              string
	total, next, last int64
}

func (j *job) meter(total int64) *meter {
	m := &meter{sink: j.sink(), item: j.Name, total: max(total, 0)}
	m.next = max(m.total/100, meterStep)
	return m
}

// at reports that done bytes are there. A transfer that starts again starts its reports again.
func (m *meter) at(done int64) {
	step := max(m.total/100, meterStep)
	if done < m.last {
		m.next = done + step
	}
	m.last = done
	if done < m.next || done == m.total {
		return // the end is reported once the content is verified
	}
	m.next = done + step
	m.sink.Event(ui.Event{Level: ui.Progress, Step: stepName, Item: m.item, Done: done, Total: m.total})
}

// finished reports that the content is there and verified.
func (j *job) finished(b *Blob) {
	if b.plain && !j.Fresh && !j.Optional {
		j.first.add(j.Name)
	}
	if b.Size == 0 || ((j.Fresh || j.Optional) && b.Size <= quietSize) {
		return
	}
	e := ui.Event{Level: ui.Progress, Step: stepName, Item: j.Name, Done: b.Size, Total: b.Size}
	if b.Cached {
		e.Text = "from the cache"
	}
	j.sink().Event(e)
}
