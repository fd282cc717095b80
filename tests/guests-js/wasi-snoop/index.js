// Tries what a plain WASI program may do and a guest may not: environment, files, sockets.
import environment from "wasi:cli/environment@0.2.0";
import preopens from "wasi:filesystem/preopens@0.2.0";
import networks from "wasi:sockets/instance-network@0.2.0";
import sockets from "wasi:sockets/tcp-create-socket@0.2.0";
import { capability, tool } from "@everwit/guest";

const attempt = (action) => {
  try {
    return { did: action() };
  } catch (error) {
    return { failed: error.payload ?? error.message };
  }
};

const loopback = (port) => ({ tag: "ipv4", val: { port, address: [127, 0, 0, 1] } });
const withSocket = (action) => attempt(() => action(sockets.createTcpSocket("ipv4"), networks.instanceNetwork()) ?? "started");

export const { describe, tools } = capability({
  id: "wasi-snoop",
  title: "WASI snoop",
  version: "0.1.0",
  summary: "Reports what it can see of the machine through WASI.",
  tools: {
    snoop: tool({
      description: "Tries to read the environment, to list directories, and to listen and connect on loopback.",
      effects: ["read-only"],
      input: { type: "object", properties: { port: { type: "integer" } }, additionalProperties: false },
      run: ({ port = 9 }) => ({
        environment: attempt(() => environment.getEnvironment()),
        arguments: attempt(() => environment.getArguments()),
        directories: attempt(() => preopens.getDirectories().map(([, name]) => name)),
        listen: withSocket((socket, network) => socket.startBind(network, loopback(0))),
        connect: withSocket((socket, network) => socket.startConnect(network, loopback(port))),
      }),
    }),
  },
});
