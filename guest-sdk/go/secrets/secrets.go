// Package secrets uses secrets that the component never sees.
package secrets

import (
	"everwit.dev/guest"
	"everwit.dev/guest/internal/bindings/everwit_secrets_store"
)

// Token is the placeholder of a secret, to put where its grant says; the host replaces it there and refuses it anywhere else.
func Token(name string) (string, error) {
	opened := everwit_secrets_store.Open(name)
	if opened.IsErr() {
		absent := opened.Err()
		message := ""
		if absent.Tag() == everwit_secrets_store.Absent_Unavailable {
			message = absent.Unavailable()
		} else {
			message = absent.Other()
		}
		return "", &guest.Failure{Kind: "denied", Code: "secret_unavailable", Message: message}
	}
	return opened.Ok().Token(), nil
}
