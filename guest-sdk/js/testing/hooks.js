/** Resolves the host's interfaces to their stand-ins. */

/**
 * @param {string} specifier
 * @param {object} context
 * @param {(specifier: string, context: object) => Promise<object>} next
 */
export async function resolve(specifier, context, next) {
  const match = /^everwit:([a-z-]+)\/([a-z-]+)@/.exec(specifier);
  if (!match) return next(specifier, context);
  return { url: new URL(`./fakes/${match[1]}-${match[2]}.js`, import.meta.url).href, shortCircuit: true };
}
