package import RoostModel
import RoostStorage

/// What a disk does to a node, for scenarios.
extension SimulationStorage {
    /// One bit of a row of the log changes on disk. False where there is no such row.
    @discardableResult
    package func flipBit(_ partition: PartitionID, _ index: UInt64) -> Bool {
        (try? database.flipBit(partition: partition, index: index)) ?? false
    }

    /// A row of a table that is derived from the log changes on disk, such as `members` or `message_ids`. False where
    /// the partition has none.
    @discardableResult
    package func damageState(_ partition: PartitionID, table: String) -> Bool {
        (try? database.damageState(partition: partition, table: table)) ?? false
    }

    /// The file is no database any more: every read and write from now on says so.
    package func corrupt() { isCorrupt = true }
}
