// Renders /openapi.json: contents at the left, operations with parameters, bodies, responses and
// a curl line each. Text from the document is only ever set as text, never as markup.

const base = new URL(".", document.baseURI);
const el = (tag, attributes = {}, ...children) => {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
};

const document_ = await fetch(new URL("openapi.json", base)).then((answer) => answer.json());
const resolve = (schema) => (schema?.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema);
const resolveResponse = (response) => (response.$ref ? document_.components.responses[refName(response)] : response);
const refName = (schema) => schema?.$ref?.split("/").pop();

// Text with the `code` in it set as such.
const prose = (text = "") => text.split("`").map((part, at) => (at % 2 ? el("code", {}, part) : part));

// The type of a schema in a few words.
function typeOf(schema) {
  if (!schema) return "any";
  if (schema.$ref) return refName(schema);
  for (const many of ["oneOf", "anyOf"]) if (schema[many]) return schema[many].map(typeOf).join(" | ");
  if (schema.allOf) return schema.allOf.map(typeOf).join(" & ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  const type = [schema.type ?? "any"].flat().join(" | ");
  return type.includes("array") ? `list of ${typeOf(schema.items)}` : type;
}

// An example value of a schema: what is required, one level of everything else.
function exampleOf(schema, depth = 0) {
  const it = resolve(schema);
  if (!it || depth > 6) return {};
  if (it.example !== undefined) return it.example;
  if (it.default !== undefined) return it.default;
  if (it.enum) return it.enum[0];
  if (it.const !== undefined) return it.const;
  const variant = (it.oneOf ?? it.anyOf)?.find((one) => one.type !== "null");
  if (variant) return exampleOf(variant, depth + 1);
  if (it.allOf) return Object.assign({}, ...it.allOf.map((part) => exampleOf(part, depth + 1)));
  const type = [it.type].flat().find((one) => one !== "null");
  if (type === "array") return depth > 2 ? [] : [exampleOf(it.items, depth + 1)];
  if (type === "object" || it.properties) {
    const required = (it.required ?? []).map((name) => [name, exampleOf(it.properties?.[name], depth + 1)]);
    return Object.fromEntries(required);
  }
  return { string: "…", integer: 1, number: 1, boolean: true }[type] ?? {};
}

function fields(schema) {
  const it = resolve(schema);
  if (!it) return null;
  if (it.allOf) return el("div", {}, ...it.allOf.map(fields));
  if (it.oneOf || it.anyOf) {
    const variants = (it.oneOf ?? it.anyOf).filter((one) => one.type !== "null");
    return el("div", {}, ...variants.map((one) => el("details", {}, el("summary", {}, refName(one) ?? one.title ?? variantName(one)), fields(one))));
  }
  if (it.type === "array" || it.items) return fields(it.items);
  if (!it.properties) return el("p", {}, el("code", {}, typeOf(it)), " ", ...prose(it.description));
  const required = new Set(it.required ?? []);
  const rows = Object.entries(it.properties).map(([name, field]) =>
    el("tr", {}, el("td", {}, el("code", {}, name), required.has(name) ? " *" : ""), el("td", {}, typeCell(field)), el("td", {}, ...prose(field.description))));
  return el("table", {}, el("tbody", {}, ...rows));
}

function variantName(schema) {
  const type = schema.properties?.type;
  return type?.enum?.[0] ?? type?.const ?? typeOf(schema);
}

// Referenced types unfold where they are used, when asked.
function typeCell(schema) {
  const target = [schema, schema.items, ...(schema.oneOf ?? []), ...(schema.anyOf ?? [])].find((one) => one?.$ref);
  if (!target || !resolve(target)?.properties && !resolve(target)?.oneOf) return el("code", {}, typeOf(schema));
  const unfolding = el("details", {}, el("summary", {}, el("code", {}, typeOf(schema))));
  unfolding.addEventListener("toggle", () => unfolding.childElementCount === 1 && unfolding.append(fields(target) ?? ""), { once: true });
  return unfolding;
}

function curl(method, path, operation) {
  const query = (operation.parameters ?? []).filter((one) => one.in === "query" && one.required).map((one) => `${one.name}=…`);
  const url = new URL(path.slice(1), base).href.replaceAll("%7B", "{").replaceAll("%7D", "}") + (query.length ? `?${query.join("&")}` : "");
  const lines = [`curl ${method === "get" ? "" : `-X ${method.toUpperCase()} `}'${url}'`];
  if (operation.security) lines.push(`-H "Authorization: Bearer $EVERWIT_KEY"`);
  const [type, body] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  if (type === "application/json") lines.push(`-H 'Content-Type: ${type}'`, `-d '${JSON.stringify(exampleOf(body.schema)).replaceAll("'", "'\\''")}'`);
  else if (type) lines.push(`-H 'Content-Type: ${type}'`, "--data-binary @component.wasm");
  if (Object.values(operation.responses).some((one) => one.content?.["text/event-stream"])) lines.push("-N");
  return lines.join(" \\\n  ");
}

function parameters(operation) {
  if (!operation.parameters?.length) return [];
  const rows = operation.parameters.map((one) =>
    el("tr", {}, el("td", {}, el("code", {}, one.name), one.required ? " *" : ""), el("td", {}, `${one.in}, ${typeOf(one.schema)}`), el("td", {}, ...prose(one.description))));
  return [el("h4", {}, "Parameters"), el("table", {}, el("tbody", {}, ...rows))];
}

function responses(operation) {
  const rows = Object.entries(operation.responses).sort().map(([status, reference]) => {
    const response = resolveResponse(reference);
    const [type, body] = Object.entries(response.content ?? {})[0] ?? [];
    const shape = type?.startsWith("application/problem") ? el("span", {}, "Problem") : body?.schema ? typeCell(body.schema) : el("span", {}, type ?? "");
    return el("tr", {}, el("td", {}, el("code", {}, status)), el("td", {}, shape), el("td", {}, ...prose(response.description)));
  });
  return [el("h4", {}, "Responses"), el("table", {}, el("tbody", {}, ...rows))];
}

function section(method, path, operation) {
  const [, request] = Object.entries(operation.requestBody?.content ?? {})[0] ?? [];
  return el("section", { class: "operation", id: operation.operationId },
    el("h3", {}, operation.summary),
    el("p", {}, el("code", {}, el("span", { class: "method" }, method.toUpperCase()), path)),
    operation.description ? el("p", {}, ...prose(operation.description)) : null,
    operation.security ? el("p", { class: "quiet" }, `Scope: ${operation.security.map((one) => one.bearer?.[0]).find(Boolean)}`) : null,
    el("pre", {}, curl(method, path, operation)),
    ...parameters(operation),
    ...(request ? [el("h4", {}, "Body"), fields(request.schema) ?? ""] : []),
    ...responses(operation));
}

const operations = Object.entries(document_.paths).flatMap(([path, item]) =>
  Object.entries(item).filter(([, operation]) => operation.operationId).map(([method, operation]) => ({ method, path, operation })));
const reference = document.getElementById("reference");
const contents = document.getElementById("contents");
const filter = el("input", { type: "search", placeholder: "Filter", "aria-label": "Filter operations" });
reference.replaceChildren(
  el("h1", {}, `${document_.info.title} ${document_.info.version}`),
  ...document_.info.description.split("\n\n").map((text) => el("p", {}, ...prose(text))),
  el("p", {}, el("a", { href: new URL("openapi.json", base).href }, "openapi.json")));
contents.replaceChildren(filter);
for (const tag of document_.tags) {
  const own = operations.filter(({ operation }) => operation.tags?.includes(tag.name));
  if (own.length === 0) continue;
  const links = own.map(({ operation }) => el("a", { href: `#${operation.operationId}` }, operation.summary));
  contents.append(el("h2", {}, tag.name), ...links);
  reference.append(el("h2", {}, `${tag.name}: ${tag.description}`), ...own.map(({ method, path, operation }) => section(method, path, operation)));
}
filter.addEventListener("input", () => {
  for (const link of contents.querySelectorAll("a")) link.hidden = !link.textContent.toLowerCase().includes(filter.value.toLowerCase());
});
if (location.hash) document.getElementById(location.hash.slice(1))?.scrollIntoView();
