#include <everwit.h>
#include <string.h>

static ew_result greet(ew_call *call) {
  const char *name = ew_argument_text(call, "name").ptr;
  if (name[strspn(name, " \t\n")] == '\0') return ew_fail(call, "invalid-arguments", "empty_name", "name is empty: give one");
  return ew_return_textf(call, "Hello, %s!", name);
}

static const ew_tool tools[] = {
    {.name = "greet", .description = "Greets somebody.", .effects = EW_READ_ONLY, .run = greet, .input_schema = EW_JSON(
      {"type": "object", "required": ["name"], "properties": {"name": {"type": "string", "description": "Who is greeted"}}})},
    {0}};
const ew_capability everwit_capability = {.id = "{{name}}", .title = "{{title}}", .summary = "Greets people.", .tools = tools};
