/** Secrets as handles: a capability can use a secret, it cannot read it. */
import store from "everwit:secrets/store@1.0.0";
import { Failure } from "./failure.js";
import { requireCall } from "./phase.js";
import { errorValue, toText } from "./seam.js";

/**
 * Opens the secret that the tenant bound to this name.
 * @param {string} name
 * @returns {{ token: () => string, audience: () => string }}
 */
export function open(name) {
  requireCall("secrets.open");
  try {
    const secret = store.open(toText(name));
    return { token: () => secret.token(), audience: () => secret.audience() };
  } catch (thrown) {
    const absent = errorValue(thrown);
    if (absent?.tag === "unavailable") throw new Failure("denied", absent.val, { code: "secret_unavailable" });
    if (absent?.tag === "other") throw new Failure("internal", absent.val, { code: "secret_other" });
    throw thrown;
  }
}
