// Package export_everwit_capability_tools is what the generated exports call.
package export_everwit_capability_tools

import (
	"everwit.dev/guest/internal/bindings/everwit_types_common"
	"everwit.dev/guest/internal/bindings/everwit_types_tools"
	"everwit.dev/guest/internal/wit/types"
)

// Handler is set by the SDK.
var Handler func(context everwit_types_tools.Context, name, arguments string) (everwit_types_tools.CallOutput, *everwit_types_common.Failure)

// Call calls a tool.
func Call(context everwit_types_tools.Context, name, arguments string) wit_types.Result[everwit_types_tools.CallOutput, everwit_types_common.Failure] {
	output, failure := Handler(context, name, arguments)
	if failure != nil {
		return wit_types.Err[everwit_types_tools.CallOutput](*failure)
	}
	return wit_types.Ok[everwit_types_tools.CallOutput, everwit_types_common.Failure](output)
}
