/**
 * Checks a driver's definition and translates it into the `description` record of the contract.
 * All problems are reported at once.
 */
import { Findings } from "./definition.js";
import { kindOf, toBag, toText, toUnsigned } from "./seam.js";

const ID = /^[a-z0-9]+([-_][a-z0-9]+)*$/;
const SEMVER = /^(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?$/;
const PLACE = /^(header:[A-Za-z0-9!#$%&'*+.^_`|~-]+|query:.+|body)$/;

const MAX_NAME_BYTES = 64;
const MAX_TITLE_BYTES = 128;
const MAX_SUMMARY_BYTES = 1024;
const MAX_MODEL_NAME_BYTES = 256;
const MAX_CREDENTIALS = 8;
const MAX_MODELS = 256;

const KEYS = [
  "id", "title", "version", "summary", "options", "credentials", "defaultBaseUrl", "models", "extra",
  "complete", "discovery", "tokenExchange",
];
const CREDENTIAL_KEYS = ["name", "title", "place", "required"];
const CREDENTIALS = ["api-key", "refresh-token", "account-id"];
const NO_OPTIONS = { type: "object", properties: {}, additionalProperties: false };

/**
 * The `description` record of a definition; throws a `TypeError` that lists every problem.
 * @param {any} definition
 */
export function toDriverDescription(definition) {
  const findings = new Findings();
  const own = findings.object("driver", definition, KEYS);
  if (typeof own.complete !== "function") findings.add("complete", `must be a function, not ${kindOf(own.complete)}`);
  for (const steps of ["discovery", "tokenExchange"]) {
    for (const step of own[steps] === undefined ? [] : ["begin", "decode"]) {
      if (typeof own[steps]?.[step] !== "function") findings.add(`${steps}.${step}`, `must be a function, not ${kindOf(own[steps]?.[step])}`);
    }
  }
  const credentials = findings.array("credentials", own.credentials);
  const models = findings.array("models", own.models);
  if (credentials.length > MAX_CREDENTIALS) findings.add("credentials", `has ${credentials.length} entries, over the limit of ${MAX_CREDENTIALS}`);
  if (models.length > MAX_MODELS) findings.add("models", `has ${models.length} entries, over the limit of ${MAX_MODELS}`);
  const description = {
    id: findings.text("id", own.id, MAX_NAME_BYTES, { pattern: ID, hint: 'lower-case words joined by "-" or "_"' }),
    title: findings.text("title", own.title, MAX_TITLE_BYTES),
    version: findings.text("version", own.version, MAX_NAME_BYTES, { pattern: SEMVER, hint: 'a semantic version like "1.2.0"' }),
    summary: findings.text("summary", own.summary, MAX_SUMMARY_BYTES),
    optionsSchema: findings.schema("options", own.options ?? NO_OPTIONS),
    credentials: credentials.map((value, at) => toCredential(findings, `credentials[${at}]`, value)),
    defaultBaseUrl: findings.text("defaultBaseUrl", own.defaultBaseUrl, MAX_SUMMARY_BYTES, {
      optional: true, pattern: /^https?:\/\/[^?#]+$/, hint: "an http or https URL",
    }) || null,
    models: models.map((value, at) => {
      findings.text(`models[${at}].id`, value?.id, MAX_MODEL_NAME_BYTES);
      return toModelRecord(value ?? {});
    }),
    extra: toBag(findings.object("extra", own.extra)),
  };
  if (findings.list.length > 0) {
    throw new TypeError(`the definition of the driver "${own.id}" is not valid:\n- ${findings.list.join("\n- ")}`);
  }
  return description;
}

/**
 * @param {Findings} findings
 * @param {string} path
 * @param {unknown} value
 */
function toCredential(findings, path, value) {
  const entry = findings.object(path, value, CREDENTIAL_KEYS);
  if (!CREDENTIALS.includes(entry.name)) findings.add(`${path}.name`, `is "${entry.name}", which is not one of ${CREDENTIALS.join(", ")}`);
  return {
    name: toText(entry.name ?? ""),
    title: findings.text(`${path}.title`, entry.title ?? "", MAX_TITLE_BYTES),
    place: findings.text(`${path}.place`, entry.place, 255, { pattern: PLACE, hint: '"header:<name>", "query:<name>" or "body"' }),
    required: entry.required ?? true,
  };
}

/**
 * The `model-info` record of a model.
 * @param {any} model
 */
export function toModelRecord(model) {
  return {
    id: toText(model.id ?? ""),
    title: toText(model.title ?? model.id ?? ""),
    contextTokens: toUnsigned(model.contextTokens),
    outputTokens: toUnsigned(model.outputTokens),
    features: (model.features ?? []).map(toText),
    extra: toBag(model.extra),
  };
}
