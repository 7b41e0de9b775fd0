package kvstore

import "context"

// The methods below are transactions of one operation each. They take the
// arguments and give the errors of the method of the same name on [Tx] or
// [ReadTx], and those of [Store.Execute] or [Store.View].

// Get is a View of one ReadTx.Get.
func (s *Store) Get(ctx context.Context, table, key string) (e Entry, found bool, err error) {
	if s.readers != nil {
		return s.getSnapshot(ctx, table, key)
	}
	err = s.View(ctx, func(tx *ReadTx) (err error) { e, found, err = tx.Get(table, key); return err })
	return e, found, err
}

// ListKeys is a View of one ReadTx.ListKeys.
func (s *Store) ListKeys(ctx context.Context, table string) ([]string, error) {
	return View(ctx, s, func(tx *ReadTx) ([]string, error) { return tx.ListKeys(table) })
}

// Add is a procedure of one Tx.Add.
func (s *Store) Add(ctx context.Context, table, key string, value []byte, options ...PutOption) (counter uint64, err error) {
	return operate(ctx, s, func(tx *Tx) (uint64, error) { return tx.Add(table, key, value, options...) })
}

// Update is a procedure of one Tx.Update.
func (s *Store) Update(ctx context.Context, table, key string, value []byte, counter uint64, options ...PutOption) (uint64, error) {
	return operate(ctx, s, func(tx *Tx) (uint64, error) { return tx.Update(table, key, value, counter, options...) })
}

// TryUpdate is a procedure of one Tx.TryUpdate.
func (s *Store) TryUpdate(ctx context.Context, table, key string, value []byte, counter uint64, options ...PutOption) (bool, error) {
	return operate(ctx, s, func(tx *Tx) (bool, error) { return tx.TryUpdate(table, key, value, counter, options...) })
}

// Overwrite is a procedure of one Tx.Overwrite.
func (s *Store) Overwrite(ctx context.Context, table, key string, value []byte, options ...PutOption) (counter uint64, err error) {
	return operate(ctx, s, func(tx *Tx) (uint64, error) { return tx.Overwrite(table, key, value, options...) })
}

// Delete is a procedure of one Tx.Delete.
func (s *Store) Delete(ctx context.Context, table, key string) (bool, error) {
	return operate(ctx, s, func(tx *Tx) (bool, error) { return tx.Delete(table, key) })
}

// Clear is a procedure of one Tx.Clear.
func (s *Store) Clear(ctx context.Context, table string) (int64, error) {
	return operate(ctx, s, func(tx *Tx) (int64, error) { return tx.Clear(table) })
}

// operate is Execute for one operation.
func operate[T any](ctx context.Context, s *Store, op func(*Tx) (T, error)) (T, error) {
	var result T
	err := s.submit(ctx, newItem(ctx, operation, func(tx *Tx) (err error) {
		result, err = op(tx)
		return err
	}))
	if err != nil {
		return *new(T), err
	}
	return result, nil
}
