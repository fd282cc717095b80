/** The links of a document as a full Markdown parser sees them. */
import { fromMarkdown } from "mdast-util-from-markdown";
import { gfmAutolinkLiteralFromMarkdown } from "mdast-util-gfm-autolink-literal";
import { gfmAutolinkLiteral } from "micromark-extension-gfm-autolink-literal";

/** @param {string} text */
export function oracleLinks(text) {
  const tree = fromMarkdown(text, { extensions: [gfmAutolinkLiteral()], mdastExtensions: [gfmAutolinkLiteralFromMarkdown()] });
  const definitions = new Map();
  visit(tree, (node) => {
    if (node.type === "definition" && !definitions.has(node.identifier)) definitions.set(node.identifier, node);
  });
  const links = [];
  visit(tree, (node) => {
    const target = node.type.endsWith("Reference") ? definitions.get(node.identifier) : node;
    if (!["link", "image", "linkReference", "imageReference"].includes(node.type) || !target) return;
    links.push({ image: node.type.startsWith("image"), reference: target !== node, url: target.url, title: target.title ?? undefined, text: node.alt ?? shown(node), start: node.position?.start.offset, end: node.position?.end.offset });
  });
  return links;
}

function visit(node, enter) {
  enter(node);
  for (const child of node.children ?? []) visit(child, enter);
}

/** @returns {string} */
function shown(node) {
  return node.value ?? node.alt ?? (node.children ?? []).map(shown).join("");
}
