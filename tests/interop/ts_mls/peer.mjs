// A client of ts-mls that speaks the line protocol of ../driver.py, for tests of interoperability.
//
// Where ts-mls has no call for a step, or goes another way than RFC 9420, this file says so and takes the
// RFC's way with the library's inner parts; what the library alone does wrong is in docs/interoperability.md.

import { createInterface } from "node:readline"
import {
  branchGroup,
  createApplicationMessage,
  createCommit,
  createGroup,
  createProposal,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  joinGroupFromBranch,
  joinGroupFromReinit,
  mlsExporter,
  processPrivateMessage,
  processPublicMessage,
  proposeAddExternal,
  reinitCreateNewGroup,
} from "ts-mls"
import { createGroupInfoWithRatchetTree } from "ts-mls/createCommit.js"
import { makeKeyPackageRef } from "ts-mls/keyPackage.js"
import { decodeRatchetTree, encodeRatchetTree } from "ts-mls/ratchetTree.js"
import { decryptGroupSecrets } from "ts-mls/welcome.js"
import { keyPackageOf, proposal, takeUpdateKey, withoutOwnUpdates } from "./proposals.mjs"
import {
  bytes,
  capabilities,
  credential,
  decodeMessage,
  encodeMessage,
  extensions,
  hex,
  lifetime,
  listExtensions,
  suiteName,
  suiteNumber,
  withLength,
} from "./values.mjs"

// Those of RFC 9420 and X-Wing; for the others of ts-mls packages would have to be installed.
const SUITES = [1, 2, 3, 4, 5, 6, 7, 83, 84]

const bundles = new Map() // key packages with their private keys, by KeyPackageRef
const members = new Map() // groups by name
const externalPsks = new Map() // by psk_id
const resumptionPsks = new Map() // by group id and epoch

const implementations = new Map()
async function suiteOf(number = 1) {
  if (!implementations.has(number))
    implementations.set(number, await getCiphersuiteImpl(getCiphersuiteFromName(suiteName(number))))
  return implementations.get(number)
}

const pskIndex = {
  findPsk: (id) =>
    id.psktype === "external"
      ? externalPsks.get(hex(id.pskId))
      : resumptionPsks.get(`${hex(id.pskGroupId)} ${id.pskEpoch}`),
}

// Signature keys of the NIST curves: ts-mls makes compressed points, RFC 9420 §5.1.1 says uncompressed ones.
async function signatureKeys(cs) {
  const keys = await cs.signature.keygen()
  const curve = { 2: "p256", 5: "p521", 7: "p384" }[suiteNumber(cs.name)]
  if (curve === undefined) return keys
  const curves = await import("@noble/curves/nist.js")
  return { ...keys, publicKey: curves[curve].getPublicKey(keys.signKey, false) }
}

async function makeKeyPackage(request, keys) {
  const cs = await suiteOf(request.suite)
  const pair = keys ?? (await signatureKeys(cs))
  const made = await generateKeyPackageWithKey(
    credential(request), capabilities(request), lifetime(request.lifetime), [], pair, cs,
  )
  return { cs, keys: pair, keyPackage: made.publicPackage, privateKeys: made.privatePackage }
}

function member({ group }) {
  const found = members.get(group)
  if (found === undefined) throw new Error(`no group ${group}`)
  return found
}

function enter(entry, state) {
  entry.state = state
  entry.pending = undefined
  entry.updateKeys = entry.updateKeys ?? new Map()
  resumptionPsks.set(
    `${hex(state.groupContext.groupId)} ${state.groupContext.epoch}`,
    state.keySchedule.resumptionPsk,
  )
  return entry
}

function keep(request, state, { cs, keys, request: client }) {
  const name = request.group ?? hex(state.groupContext.groupId)
  members.set(name, enter({ name, cs, keys, client }, state))
  return members.get(name)
}

const answer = (entry, more = {}) => ({
  group: entry.name,
  epoch: Number(entry.state.groupContext.epoch),
  epoch_authenticator: hex(entry.state.keySchedule.epochAuthenticator),
  tree_hash: hex(entry.state.groupContext.treeHash),
  ...more,
})

const welcomeOf = (welcome) =>
  welcome === undefined ? null : encodeMessage("mls_welcome", "welcome", welcome)

// The epoch's resumption PSKs in a Welcome say which group the new one follows.
async function followed(welcome, bundle, reference) {
  const key = await bundle.cs.hpke.importPrivateKey(bundle.privateKeys.initPrivateKey)
  const secrets = await decryptGroupSecrets(key, reference, welcome, bundle.cs.hpke)
  const psk = secrets?.psks.find(({ psktype }) => psktype === "resumption")
  const old = psk && [...members.values()].find((m) => hex(m.state.groupContext.groupId) === hex(psk.pskGroupId))
  return { usage: psk?.usage, old: old?.state }
}

const commands = {
  hello: async () => ({ suites: SUITES, commands: Object.keys(commands) }),

  quit: async () => ({}),

  key_package: async (request) => {
    const made = await makeKeyPackage(request)
    const reference = hex(await makeKeyPackageRef(made.keyPackage, made.cs.hash))
    bundles.set(reference, { ...made, request })
    return { key_package: encodeMessage("mls_key_package", "keyPackage", made.keyPackage), ref: reference }
  },

  // A newcomer's proposal of its own Add (RFC 9420 §12.1.8): joined by the Welcome of who commits it.
  propose_add: async (request) => {
    const { groupInfo } = decodeMessage(request.group_info, "mls_group_info")
    const made = await makeKeyPackage(request)
    bundles.set(hex(await makeKeyPackageRef(made.keyPackage, made.cs.hash)), { ...made, request })
    const { publicMessage } = await proposeAddExternal(groupInfo, made.keyPackage, made.privateKeys, made.cs)
    return { message: encodeMessage("mls_public_message", "publicMessage", publicMessage) }
  },

  add_psk: async ({ psk_id, psk }) => {
    externalPsks.set(psk_id, bytes(psk))
    return {}
  },

  create_group: async (request) => {
    const made = await makeKeyPackage(request)
    const state = await createGroup(
      bytes(request.group_id), made.keyPackage, made.privateKeys, extensions(request.group_extensions), made.cs,
    )
    return answer(keep(request, state, { ...made, request }))
  },

  join: async (request) => {
    const { welcome } = decodeMessage(request.welcome, "mls_welcome")
    const reference = welcome.secrets.map(({ newMember }) => newMember).find((ref) => bundles.has(hex(ref)))
    if (reference === undefined) throw new Error("the Welcome is for no key package of this process")
    const bundle = bundles.get(hex(reference))
    const tree = request.ratchet_tree && decodeRatchetTree(bytes(request.ratchet_tree), 0)[0]
    const { usage, old } = await followed(welcome, bundle, reference)
    const { cs, keyPackage, privateKeys } = bundle
    const state =
      usage === "reinit"
        ? await joinGroupFromReinit(old, welcome, keyPackage, privateKeys, tree)
        : usage === "branch"
          ? await joinGroupFromBranch(old, welcome, keyPackage, privateKeys, tree, cs)
          : await joinGroup(welcome, keyPackage, privateKeys, pskIndex, cs, tree, old)
    bundles.delete(hex(reference))
    return answer(keep(request, state, bundle))
  },

  external_join: async (request) => {
    const { groupInfo } = decodeMessage(request.group_info, "mls_group_info")
    const former = request.resync ? member(request) : undefined
    const made = await makeKeyPackage(request, former?.keys)
    // ts-mls takes the data of the external_pub extension for the key itself; RFC 9420 §12.4.3.2 has an
    // HPKEPublicKey there, with its length.
    const { cs } = made
    const hpke = { ...cs.hpke, importPublicKey: async (key) => cs.hpke.importPublicKey(withoutLength(key, groupInfo)) }
    const { publicMessage, newState } = await joinGroupExternal(
      groupInfo, made.keyPackage, made.privateKeys, request.resync ?? false, { ...cs, hpke },
    )
    const commit = encodeMessage("mls_public_message", "publicMessage", publicMessage)
    return answer(keep(request, newState, { ...made, request }), { commit })
  },

  commit: async (request) => {
    const entry = member(request)
    const extraProposals = []
    for (const item of request.proposals ?? []) extraProposals.push(await proposal(entry, item))
    const context = { state: withoutOwnUpdates(entry.state), pskIndex, cipherSuite: entry.cs }
    const made = await createCommit(context, {
      wireAsPublicMessage: request.public ?? false,
      extraProposals,
      ratchetTreeExtension: request.ratchet_tree_extension ?? true,
      authenticatedData: bytes(request.aad),
    })
    if (request.merge ?? true) enter(entry, made.newState)
    else entry.pending = made.newState
    const field = request.public ? ["mls_public_message", "publicMessage"] : ["mls_private_message", "privateMessage"]
    const commit = encodeMessage(...field, made.commit[field[1]])
    return answer(entry, { commit, welcome: welcomeOf(made.welcome) })
  },

  merge: async (request) => {
    const entry = member(request)
    if (entry.pending !== undefined) enter(entry, entry.pending)
    return answer(entry)
  },

  discard: async (request) => {
    const entry = member(request)
    if (entry.pending === undefined) entry.state = { ...entry.state, unappliedProposals: {} }
    entry.pending = undefined
    return answer(entry)
  },

  propose: async (request) => {
    const entry = member(request)
    const made = await createProposal(
      entry.state, request.public ?? false, await proposal(entry, request), entry.cs, bytes(request.aad),
    )
    entry.state = made.newState
    const { wireformat } = made.message
    const field = wireformat === "mls_public_message" ? "publicMessage" : "privateMessage"
    return answer(entry, { message: encodeMessage(wireformat, field, made.message[field]) })
  },

  process: async (request) => {
    const entry = member(request)
    const message = decodeMessage(request.message, "mls_public_message", "mls_private_message")
    const accept = takeUpdateKey(entry)
    // Not processMessage: it finds no PSKs for a commit in a PrivateMessage.
    const done =
      message.wireformat === "mls_public_message"
        ? await processPublicMessage(entry.state, message.publicMessage, pskIndex, entry.cs, accept)
        : await processPrivateMessage(entry.state, message.privateMessage, pskIndex, entry.cs, accept)
    if (done.kind === "applicationMessage") {
      entry.state = done.newState
      return answer(entry, { kind: "application", plaintext: hex(done.message) })
    }
    const before = entry.state.groupContext.epoch
    const removed = done.newState.groupActiveState.kind === "removedFromGroup"
    enter(entry, done.newState)
    const kind = removed || done.newState.groupContext.epoch !== before ? "commit" : "proposal"
    return answer(entry, { kind, self_removed: removed })
  },

  encrypt: async (request) => {
    const entry = member(request)
    const made = await createApplicationMessage(
      entry.state, bytes(request.plaintext), entry.cs, bytes(request.aad),
    )
    entry.state = made.newState
    return answer(entry, { message: encodeMessage("mls_private_message", "privateMessage", made.privateMessage) })
  },

  decrypt: async (request) => {
    const entry = member(request)
    const { privateMessage } = decodeMessage(request.message, "mls_private_message")
    const done = await processPrivateMessage(entry.state, privateMessage, pskIndex, entry.cs)
    if (done.kind !== "applicationMessage") throw new Error("not an application message")
    entry.state = done.newState
    return answer(entry, { plaintext: hex(done.message), aad: hex(privateMessage.authenticatedData) })
  },

  export: async (request) => {
    const entry = member(request)
    const secret = await mlsExporter(
      entry.state.keySchedule.exporterSecret, request.label, bytes(request.context), request.length, entry.cs,
    )
    return answer(entry, { secret: hex(secret) })
  },

  epoch_authenticator: async (request) => answer(member(request)),

  // Not createGroupInfoWithExternalPubAndRatchetTree: its external_pub lacks the length (see external_join).
  group_info: async (request) => {
    const entry = member(request)
    const { state, cs } = entry
    const { publicKey } = await cs.hpke.deriveKeyPair(state.keySchedule.externalSecret)
    const extension = {
      extensionType: "external_pub",
      extensionData: withLength(await cs.hpke.exportPublicKey(publicKey)),
    }
    const info = await createGroupInfoWithRatchetTree(
      state.groupContext, state.confirmationTag, state, state.ratchetTree, [extension], cs,
    )
    return answer(entry, { group_info: encodeMessage("mls_group_info", "groupInfo", info) })
  },

  ratchet_tree: async (request) => {
    const entry = member(request)
    return answer(entry, { ratchet_tree: hex(encodeRatchetTree(entry.state.ratchetTree)) })
  },

  info: async (request) => {
    const entry = member(request)
    const { groupContext, privatePath, ratchetTree, groupActiveState } = entry.state
    return answer(entry, {
      group_id: hex(groupContext.groupId),
      suite: suiteNumber(groupContext.cipherSuite),
      own_leaf_index: privatePath.leafIndex,
      removed: groupActiveState.kind === "removedFromGroup",
      members: ratchetTree.flatMap((node, index) =>
        node?.nodeType === "leaf"
          ? [{ leaf_index: index / 2, identity_hex: hex(node.leaf.credential.identity) }]
          : [],
      ),
      group_extensions: listExtensions(groupContext.extensions),
    })
  },

  // The group that follows: the one that a ReInit asks for where there was one, else a branch.
  branch: async (request) => {
    const { state, client, cs } = member(request)
    const { reinit } = state.groupActiveState
    const made = await makeKeyPackage({ ...client, suite: suiteNumber(reinit?.cipherSuite ?? cs.name) })
    const packages = request.key_packages.map(keyPackageOf)
    const { keyPackage, privateKeys } = made
    const { newState, welcome } =
      reinit === undefined
        ? await branchGroup(state, keyPackage, privateKeys, packages, bytes(request.group_id), cs)
        : await reinitCreateNewGroup(
            state, keyPackage, privateKeys, packages, reinit.groupId, reinit.cipherSuite, reinit.extensions,
          )
    const following = keep({ group: request.new_group }, newState, { ...made, request: client })
    return answer(following, { welcome: welcomeOf(welcome) })
  },
}

function withoutLength(key, groupInfo) {
  const { extensionData } = groupInfo.extensions.find(({ extensionType }) => extensionType === "external_pub")
  return key === extensionData ? key.slice(1 << (key[0] >> 6)) : key
}

for await (const line of createInterface({ input: process.stdin })) {
  let result
  try {
    const request = JSON.parse(line)
    if (!Object.hasOwn(commands, request.cmd)) throw new Error(`no such command: ${request.cmd}`)
    result = { ok: true, ...(await commands[request.cmd](request)) }
    if (request.cmd === "quit") process.stdin.destroy()
  } catch (error) {
    result = { ok: false, error: `${error.name}: ${error.message}`, rule: null }
  }
  console.log(JSON.stringify(result))
}
