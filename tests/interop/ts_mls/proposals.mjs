// Proposals as requests of the line protocol describe them, and what ts-mls leaves to its user about Updates.

import { signLeafNodeCommit } from "ts-mls/leafNode.js"
import { bytes, decodeMessage, extensions, hex, suiteName, suiteNumber } from "./values.mjs"

// ts-mls does not make Updates: the leaf is signed here, and its key is put in place when it is committed.
async function updateProposal(entry) {
  const { state, cs } = entry
  const pair = await cs.hpke.generateKeyPair()
  const old = state.ratchetTree[2 * state.privatePath.leafIndex].leaf
  const tbs = {
    leafNodeSource: "update",
    hpkePublicKey: await cs.hpke.exportPublicKey(pair.publicKey),
    signaturePublicKey: old.signaturePublicKey,
    credential: old.credential,
    capabilities: old.capabilities,
    extensions: old.extensions,
    groupId: state.groupContext.groupId,
    leafIndex: state.privatePath.leafIndex,
  }
  const leafNode = await signLeafNodeCommit(tbs, state.signaturePrivateKey, cs.signature)
  entry.updateKeys.set(hex(tbs.hpkePublicKey), await cs.hpke.exportPrivateKey(pair.privateKey))
  return { proposalType: "update", update: { leafNode } }
}

export async function proposal(entry, item) {
  const { state, cs } = entry
  const pskNonce = cs.rng.randomBytes(cs.kdf.size)
  switch (item.type) {
    case "add":
      return { proposalType: "add", add: { keyPackage: keyPackageOf(item.key_package) } }
    case "update":
      return updateProposal(entry)
    case "remove":
      return { proposalType: "remove", remove: { removed: item.leaf_index } }
    case "psk":
      return {
        proposalType: "psk",
        psk: { preSharedKeyId: { psktype: "external", pskId: bytes(item.psk_id), pskNonce } },
      }
    case "resumption_psk": {
      const pskGroupId = item.psk_group_id === undefined ? state.groupContext.groupId : bytes(item.psk_group_id)
      const pskEpoch = BigInt(item.psk_epoch ?? state.groupContext.epoch)
      return {
        proposalType: "psk",
        psk: { preSharedKeyId: { psktype: "resumption", usage: "application", pskGroupId, pskEpoch, pskNonce } },
      }
    }
    case "group_context_extensions":
      return {
        proposalType: "group_context_extensions",
        groupContextExtensions: { extensions: extensions(item.extensions) },
      }
    case "reinit":
      return {
        proposalType: "reinit",
        reinit: {
          groupId: bytes(item.group_id),
          version: "mls10",
          cipherSuite: suiteName(item.suite ?? suiteNumber(cs.name)),
          extensions: extensions(item.extensions),
        },
      }
  }
  throw new Error(`no such proposal type: ${item.type}`)
}

export const keyPackageOf = (text) => decodeMessage(text, "mls_key_package").keyPackage

// createCommit takes all proposals that wait, our own Updates too, which RFC 9420 §12.2 forbids.
export function withoutOwnUpdates(state) {
  const waiting = Object.entries(state.unappliedProposals).filter(
    ([, { proposal, senderLeafIndex }]) =>
      proposal.proposalType !== "update" || senderLeafIndex !== state.privatePath.leafIndex,
  )
  return { ...state, unappliedProposals: Object.fromEntries(waiting) }
}

// Our leaf's new private key, where the commit that comes has an Update of ours.
export function takeUpdateKey(entry) {
  const { state, updateKeys } = entry
  return ({ kind, proposals }) => {
    for (const { proposal, senderLeafIndex } of kind === "commit" ? proposals : [])
      if (proposal.proposalType === "update" && senderLeafIndex === state.privatePath.leafIndex)
        state.privatePath.privateKeys[2 * state.privatePath.leafIndex] = updateKeys.get(
          hex(proposal.update.leafNode.hpkePublicKey),
        )
    return "accept"
  }
}
