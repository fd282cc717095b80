// Package guest is the SDK for Everwit capabilities in Go.
//
// A program declares its capability in an init function:
//
//	func init() {
//		guest.Serve(guest.Capability{
//			ID: "hello", Title: "Hello", Summary: "Greets people.",
//			Tools: []guest.Tool{guest.NewTool("greet", "Greets somebody.", greet, guest.ReadOnly)},
//		})
//	}
//
// One instance of the component serves one call, so nothing in memory outlives it.
package guest

import (
	"everwit.dev/guest/internal/bindings/everwit_capability_describe"
	"everwit.dev/guest/internal/bindings/everwit_types_permissions"
	"everwit.dev/guest/internal/bindings/everwit_types_tools"
	"everwit.dev/guest/internal/bindings/export_everwit_capability_describe"
	"everwit.dev/guest/internal/bindings/export_everwit_capability_tools"
	_ "everwit.dev/guest/internal/exports" // The component's exports.
	"everwit.dev/guest/internal/wit/types"
)

// Capability says what a component is.
type Capability struct {
	// ID is unique in an org: lower-case words of letters and digits with hyphens, at most 64 bytes.
	ID string
	// Title is the name for people.
	Title string
	// Version is that of this build; "0.1.0" if empty.
	Version string
	// Summary says what it is for, in a sentence or two.
	Summary string
	// Instructions are added to the system prompt of agents that have it.
	Instructions string
	// ConfigSchema is the JSON Schema of its configuration; empty accepts anything. SchemaOf makes one of a type.
	ConfigSchema string
	// Tools are what models can call.
	Tools []Tool
	// HTTP are the hosts that it asks for.
	HTTP []HTTPPermission
	// Secrets are those that it asks for.
	Secrets []SecretPermission
	// KV are the names of the key-value buckets that it asks for.
	KV []string
}

// HTTPPermission is access to one host.
type HTTPPermission struct {
	// Host as in "api.example.com", which is https on port 443; plain http needs "api.example.com:80".
	Host string
	// Methods in upper case; none means GET and HEAD.
	Methods []string
	// PathPrefix limits the URLs to those whose path starts with it, if not empty.
	PathPrefix string
	// Reason is for the person who decides.
	Reason string
}

// SecretPermission is a secret that the tenant binds by name. The component never sees its value.
type SecretPermission struct {
	// Name in kebab-case.
	Name string
	// Title is for people; the name if empty.
	Title string
	// Host is the only one on which it may be used.
	Host string
	// Place in the request: "header:<name>" or "query:<name>".
	Place string
	// Required says that the component cannot work without it.
	Required bool
}

// Effects say what a tool may do to the world; they are combined with |.
type Effects = everwit_types_tools.Effects

const (
	// ReadOnly changes nothing outside the call.
	ReadOnly Effects = everwit_types_tools.Effects_ReadOnly
	// Destructive may remove or overwrite what cannot be brought back.
	Destructive Effects = everwit_types_tools.Effects_Destructive
	// Idempotent means that a repetition with the same idempotency key has no further effect.
	Idempotent Effects = everwit_types_tools.Effects_Idempotent
	// OpenWorld reaches beyond the agent's own data.
	OpenWorld Effects = everwit_types_tools.Effects_OpenWorld
)

// Serve declares the capability; call it once, in an init function.
func Serve(capability Capability) {
	export_everwit_capability_describe.Handler = capability.describe
	export_everwit_capability_tools.Handler = capability.call
}

func (c Capability) describe() everwit_capability_describe.Description {
	tools := make([]everwit_types_tools.Tool, 0, len(c.Tools))
	for _, tool := range c.Tools {
		tools = append(tools, everwit_types_tools.Tool{
			Name: tool.name, Title: title(tool.name), Description: tool.description,
			InputSchema: tool.input, OutputSchema: optional(tool.output), Effects: tool.effects,
		})
	}
	permissions := everwit_types_permissions.Permissions{Files: "none", Kv: c.KV}
	for _, host := range c.HTTP {
		permissions.Http = append(permissions.Http, everwit_types_permissions.HttpPermission{
			Host: host.Host, Methods: host.Methods, PathPrefix: optional(host.PathPrefix), Reason: host.Reason,
		})
	}
	for _, secret := range c.Secrets {
		permissions.Secrets = append(permissions.Secrets, everwit_types_permissions.SecretPermission{
			Name: secret.Name, Title: or(secret.Title, secret.Name), Host: secret.Host, Place: secret.Place, Required: secret.Required,
		})
	}
	return everwit_capability_describe.Description{
		Id: c.ID, Title: or(c.Title, c.ID), Version: or(c.Version, "0.1.0"), Summary: c.Summary, Instructions: optional(c.Instructions),
		ConfigSchema: or(c.ConfigSchema, "{}"), Tools: tools, Permissions: permissions,
	}
}

func or(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func optional(text string) wit_types.Option[string] {
	if text == "" {
		return wit_types.None[string]()
	}
	return wit_types.Some(text)
}
