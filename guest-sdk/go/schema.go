package guest

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// SchemaOf is the JSON Schema of a type. Of a struct, the exported fields are properties by their json tags, required unless they
// are pointers or have omitempty or omitzero; the tag description says what one means, enum lists the texts that it can be, with
// commas, and minimum and maximum bound a number. json.RawMessage and any are any JSON.
func SchemaOf[T any]() string {
	schema, err := schemaOf(reflect.TypeFor[T](), 0)
	if err == nil {
		var text []byte
		if text, err = json.Marshal(schema); err == nil {
			return string(text)
		}
	}
	panic(fmt.Sprintf("%s has no schema: %v", reflect.TypeFor[T](), err))
}

// Deepest nesting of types, which ends types that hold themselves.
const maxDepth = 16

func schemaOf(of reflect.Type, depth int) (map[string]any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	switch of {
	case reflect.TypeFor[json.RawMessage]():
		return map[string]any{}, nil
	case reflect.TypeFor[time.Time]():
		return map[string]any{"type": "string", "format": "date-time"}, nil
	}
	switch of.Kind() {
	case reflect.Interface:
		return map[string]any{}, nil
	case reflect.String:
		return map[string]any{"type": "string"}, nil
	case reflect.Bool:
		return map[string]any{"type": "boolean"}, nil
	case reflect.Float32, reflect.Float64:
		return map[string]any{"type": "number"}, nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return map[string]any{"type": "integer"}, nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return map[string]any{"type": "integer", "minimum": 0}, nil
	case reflect.Pointer:
		return schemaOf(of.Elem(), depth+1)
	case reflect.Slice, reflect.Array:
		if of.Elem().Kind() == reflect.Uint8 {
			return map[string]any{"type": "string", "contentEncoding": "base64"}, nil
		}
		items, err := schemaOf(of.Elem(), depth+1)
		return map[string]any{"type": "array", "items": items}, err
	case reflect.Map:
		if of.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("the keys of %s are no texts", of)
		}
		values, err := schemaOf(of.Elem(), depth+1)
		return map[string]any{"type": "object", "additionalProperties": values}, err
	case reflect.Struct:
		return objectOf(of, depth)
	default:
		return nil, fmt.Errorf("%s is no JSON", of)
	}
}

func objectOf(of reflect.Type, depth int) (map[string]any, error) {
	properties, required := map[string]any{}, []string{}
	for _, field := range reflect.VisibleFields(of) {
		name, options, _ := strings.Cut(field.Tag.Get("json"), ",")
		if !field.IsExported() || name == "-" || field.Anonymous || len(field.Index) > 1 {
			continue
		}
		if name == "" {
			name = field.Name
		}
		schema, err := schemaOf(field.Type, depth+1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
		if err := annotate(schema, field.Tag); err != nil {
			return nil, fmt.Errorf("%s: %w", field.Name, err)
		}
		properties[name] = schema
		if field.Type.Kind() != reflect.Pointer && !strings.Contains(options, "omit") {
			required = append(required, name)
		}
	}
	schema := map[string]any{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		schema["required"] = required
	}
	return schema, nil
}

func annotate(schema map[string]any, tag reflect.StructTag) error {
	if text, ok := tag.Lookup("description"); ok {
		schema["description"] = text
	}
	if text, ok := tag.Lookup("enum"); ok {
		schema["enum"] = strings.Split(text, ",")
	}
	for _, bound := range []string{"minimum", "maximum"} {
		if text, ok := tag.Lookup(bound); ok {
			number, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return fmt.Errorf("the tag %s is no number: %w", bound, err)
			}
			schema[bound] = number
		}
	}
	return nil
}
