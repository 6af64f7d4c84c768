package main

import "context"

func (m *mirror) archives(ctx context.Context) error { return nil }
