// Reads policy/request pairs from standard input, one JSON object a line, and writes for each
// what @cloud-copilot/iam-simulate makes of it: Allowed, ImplicitlyDenied or ExplicitlyDenied.
//
// It asks the engine itself, by its file: runSimulation leaves out context keys whose names end in
// a name of the caller's own (kms:EncryptionContext:tenant), and runUnsafeSimulation of this
// version fails on every resource policy.
import { createInterface } from "node:readline";
import { loadPolicy } from "@cloud-copilot/iam-policy";

const engine = new URL("node_modules/@cloud-copilot/iam-simulate/dist/esm/", import.meta.url);
const { authorize } = await import(new URL("core_engine/CoreSimulatorEngine.js", engine));
const { AwsRequestImpl } = await import(new URL("request/request.js", engine));
const { RequestContextImpl } = await import(new URL("requestContext.js", engine));
const { DiscoveryContextKeyConstraints } = await import(
  new URL("context_keys/discoveryContextKeyConstraints.js", engine)
);

const load = (policy, name) => loadPolicy(policy, { name });

for await (const line of createInterface({ input: process.stdin })) {
  const pair = JSON.parse(line);
  const { result } = authorize({
    request: new AwsRequestImpl(
      pair.principal,
      { resource: pair.key, accountId: pair.account },
      pair.action,
      new RequestContextImpl(pair.context),
    ),
    resourcePolicy: load(pair.key_policy, "key"),
    identityPolicies: pair.identity.map((policy, index) => load(policy, `identity${index}`)),
    permissionBoundaries: pair.boundary ? [load(pair.boundary, "boundary")] : undefined,
    sessionPolicy: pair.session ? load(pair.session, "session") : undefined,
    vpcEndpointPolicies: undefined,
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    simulationParameters: {
      simulationMode: "Strict",
      discoveryContextKeyConstraints: new DiscoveryContextKeyConstraints([]),
    },
    serviceSettings: { s3: {} },
  });
  console.log(result);
}
