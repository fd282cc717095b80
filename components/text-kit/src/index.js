import { capability, tool } from "@everwit/guest";
import { diff } from "./diff.js";
import { MAX_SLUG, MAX_TOP_WORDS } from "./limits.js";
import { links } from "./links.js";
import { slugify } from "./slugify.js";
import { stats } from "./stats.js";

/** Each tool computes from its arguments alone. */
const effects = /** @type {const} */ (["read-only", "idempotent"]);

export const { describe, tools } = capability({
  id: "text-kit",
  title: "Text kit",
  version: "0.1.0",
  summary: "Counts, links, slugs and diffs of text, computed exactly.",
  instructions: "Use the text-kit tools instead of counting words, comparing texts or collecting links yourself.",
  tools: {
    stats: tool({
      title: "Text statistics",
      description:
        "Counts characters (Unicode code points), words, sentences, lines and paragraphs of a text, lists its most frequent words and estimates the reading time. " +
        "Words may contain apostrophes and hyphens; Chinese and Japanese count each character as a word. Sentences are found by punctuation, with common English and German abbreviations.",
      effects,
      input: {
        type: "object",
        properties: {
          text: { type: "string", description: "The text." },
          top: { type: "integer", minimum: 0, maximum: MAX_TOP_WORDS, default: 10, description: "How many of the most frequent words to list." },
          min_word_length: { type: "integer", minimum: 1, maximum: 100, default: 1, description: "Shortest word to list." },
          ignore: { type: "array", items: { type: "string" }, maxItems: 1000, description: "Words not to list, in any case." },
          words_per_minute: { type: "number", minimum: 1, maximum: 10000, default: 238, description: "Reading speed." },
        },
        required: ["text"],
        additionalProperties: false,
      },
      run: stats,
    }),
    links: tool({
      title: "Links",
      description:
        "Extracts links with their text, URL, line and start and end offset (in Unicode code points, end exclusive). " +
        "From Markdown: inline and reference links and images with any target, autolinks, and bare http, https, www and e-mail addresses; code is skipped. From plain text: http, https and mailto links and e-mail addresses.",
      effects,
      input: {
        type: "object",
        properties: {
          text: { type: "string", description: "The text." },
          format: { enum: ["markdown", "text"], default: "markdown", description: "How to read it." },
          unique: { type: "boolean", default: false, description: "Whether to keep only the first link of each URL." },
        },
        required: ["text"],
        additionalProperties: false,
      },
      run: links,
    }),
    slugify: tool({
      title: "Slug",
      description:
        "Makes a slug for URLs and file names: lower case, words joined by a separator, Latin letters written in ASCII (\"Łódź & Straße\" becomes \"lodz-strasse\"). " +
        "What has no ASCII form is dropped unless unicode is set. A slug that is too long ends at a word.",
      effects,
      input: {
        type: "object",
        properties: {
          text: { type: "string", description: "The title or name." },
          separator: { enum: ["-", "_", ".", "~"], default: "-", description: "What joins the words." },
          max_length: { type: "integer", minimum: 1, maximum: MAX_SLUG, default: 80, description: "Longest slug, in characters." },
          language: { type: "string", maxLength: 35, description: "BCP 47 tag of the text's language, whose rules apply (\"de\" writes ä as ae); the user's language if absent." },
          unicode: { type: "boolean", default: false, description: "Whether to keep letters and digits of all scripts as they are." },
        },
        required: ["text"],
        additionalProperties: false,
      },
      run: slugify,
    }),
    diff: tool({
      title: "Line diff",
      description: "Compares two texts line by line. Returns a unified diff and the numbers of added and removed lines and of hunks.",
      effects,
      input: {
        type: "object",
        properties: {
          before: { type: "string", description: "The old text." },
          after: { type: "string", description: "The new text." },
          before_name: { type: "string", maxLength: 200, default: "before", description: "Name of the old text in the diff." },
          after_name: { type: "string", maxLength: 200, default: "after", description: "Name of the new text in the diff." },
          context: { type: "integer", minimum: 0, maximum: 100, default: 3, description: "Unchanged lines around each change." },
          ignore_whitespace: { type: "boolean", default: false, description: "Whether to ignore white space at the beginning and end of lines." },
        },
        required: ["before", "after"],
        additionalProperties: false,
      },
      output: {
        type: "object",
        properties: {
          identical: { type: "boolean" },
          added: { type: "integer" },
          removed: { type: "integer" },
          hunks: { type: "integer" },
          unified: { type: "string" },
        },
        required: ["identical", "added", "removed", "hunks", "unified"],
      },
      run: diff,
    }),
  },
});
