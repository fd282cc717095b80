import { fail, host } from "../host.js";

/** A handle. */
export class Secret {
  #token;

  /** @param {string} token */
  constructor(token) {
    this.#token = token;
  }

  token() {
    return this.#token;
  }

  audience() {
    return "";
  }
}

export default {
  /** @param {string} name */
  open(name) {
    const token = host.secrets[name];
    if (token === undefined) fail({ tag: "unavailable", val: `bind the secret "${name}"` });
    return new Secret(token);
  },
};
