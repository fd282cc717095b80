// Package kv keeps small values between calls, in the buckets that the capability asks for and was granted.
package kv

import (
	"encoding/json"

	"everwit.dev/guest"
	"everwit.dev/guest/internal/bindings/everwit_kv_store"
	"everwit.dev/guest/internal/wit/types"
)

// Bucket is one by its name.
type Bucket string

// Entry is a stored value. Its Version is 0 if there is none.
type Entry struct {
	Value   []byte
	Version uint64
}

// Any is the expected version of a write that does not care.
const Any = ^uint64(0)

func expected(version uint64) wit_types.Option[uint64] {
	if version == Any {
		return wit_types.None[uint64]()
	}
	return wit_types.Some(version)
}

// Get reads a key.
func (b Bucket) Get(key string) (Entry, error) {
	got := everwit_kv_store.Get(string(b), key)
	if got.IsErr() {
		return Entry{}, failure(got.Err())
	}
	if got.Ok().IsNone() {
		return Entry{}, nil
	}
	entry := got.Ok().Some()
	return Entry{entry.Value, entry.Version}, nil
}

// Put writes a key and returns its new version. The expected version is Any, 0 for a key that must be absent, or the one that is
// replaced; with another one it fails with the kind "conflict".
func (b Bucket) Put(key string, value []byte, version uint64) (uint64, error) {
	put := everwit_kv_store.Put(string(b), key, value, expected(version))
	if put.IsErr() {
		return 0, failure(put.Err())
	}
	return put.Ok(), nil
}

// GetJSON reads a key into a value, which stays as it is if there is none, and says whether there is one.
func (b Bucket) GetJSON(key string, into any) (bool, error) {
	entry, err := b.Get(key)
	if err != nil || entry.Version == 0 {
		return false, err
	}
	return true, json.Unmarshal(entry.Value, into)
}

// PutJSON writes a value as JSON, whatever was there.
func (b Bucket) PutJSON(key string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		_, err = b.Put(key, text, Any)
	}
	return err
}

// Remove removes a key; the expected version is as in Put.
func (b Bucket) Remove(key string, version uint64) error {
	if removed := everwit_kv_store.Remove(string(b), key, expected(version)); removed.IsErr() {
		return failure(removed.Err())
	}
	return nil
}

// Keys lists up to limit (1 to 1,000) keys with a prefix, in the order of their bytes, after the key after unless that is empty.
func (b Bucket) Keys(prefix, after string, limit uint32) ([]string, error) {
	behind := wit_types.None[string]()
	if after != "" {
		behind = wit_types.Some(after)
	}
	listed := everwit_kv_store.Keys(string(b), prefix, behind, limit)
	if listed.IsErr() {
		return nil, failure(listed.Err())
	}
	return listed.Ok(), nil
}

func failure(fault everwit_kv_store.Fault) *guest.Failure {
	switch fault.Tag() {
	case everwit_kv_store.Fault_Denied:
		return &guest.Failure{Kind: "denied", Code: "kv_denied", Message: fault.Denied()}
	case everwit_kv_store.Fault_TooLarge:
		return &guest.Failure{Kind: "internal", Code: "kv_too_large", Message: "the key has more than 512 bytes, or the value more than 256 KiB"}
	case everwit_kv_store.Fault_Quota:
		return &guest.Failure{Kind: "internal", Code: "kv_quota", Message: "the bucket is full"}
	case everwit_kv_store.Fault_Conflict:
		return &guest.Failure{Kind: "conflict", Code: "kv_conflict", Message: "the value was changed meanwhile", Retryable: true}
	default:
		return &guest.Failure{Kind: "internal", Code: "kv", Message: fault.Other()}
	}
}
