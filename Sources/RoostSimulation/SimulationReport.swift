/// What a run came to.
package struct SimulationReport: Sendable {
    package var seed: UInt64
    /// Sorted; empty where every promise held.
    package var breaches: [Breach] = []
    package var virtualMilliseconds: UInt64 = 0
    package var steps: UInt64 = 0
    package var sent = 0
    package var accepted = 0
    package var delivered = 0
    package var reads = 0
    /// Terms that had a leader, over all partitions.
    package var terms = 0
    /// By the name of their kind.
    package var faults: [String: Int] = [:]
    /// Equal for equal runs.
    package var digest: UInt64 = 0

    package init(seed: UInt64) { self.seed = seed }
}
