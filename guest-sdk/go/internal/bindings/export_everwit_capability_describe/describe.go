// Package export_everwit_capability_describe is what the generated exports call.
package export_everwit_capability_describe

import "everwit.dev/guest/internal/bindings/everwit_capability_describe"

// Handler is set by the SDK.
var Handler func() everwit_capability_describe.Description

// Describe returns what the capability is.
func Describe() everwit_capability_describe.Description { return Handler() }
