package import RoostModel
import RoostStorage

extension SimulationCluster {
    /// Seqs of the conversation whose content stands on the disk of each node that runs and has a replica.
    package func storedSeqs(of conversation: ConversationID) -> [[UInt64]] {
        nodeIDs.compactMap { running[$0] }.map { life in
            let found = try? life.storage.database.messages(
                partition: partition(of: conversation), conversation: conversation, after: 0, before: .max,
                descending: false, skip: 0, limit: 1 << 20, maxBytes: .max)
            return (found ?? []).map(\.message.seq)
        }
    }
}
