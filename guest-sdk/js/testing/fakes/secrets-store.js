import { host } from "../host.js";

export default {
  /** @param {string} name */
  open(name) {
    const token = host.secrets[name];
    if (token === undefined) throw { tag: "unavailable", val: `bind the secret "${name}"` };
    return { token: () => token, audience: () => "" };
  },
};
