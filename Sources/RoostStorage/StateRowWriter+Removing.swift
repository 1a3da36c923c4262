import GRDB
import RoostModel

/// Rows that go.
extension StateRowWriter {
    func forget(_ device: DeviceID, of user: UserID, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, "DELETE FROM devices WHERE partition = ? AND user = ? AND device = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        try statement.bind(user.uuid)
        try statement.bind(device.text)
        try statement.run()
    }

    mutating func dropCursor(
        of user: UserID, _ device: DeviceID, in conversation: ConversationID, _ partition: PartitionID
    ) throws {
        let key = try known(conversation, partition).key
        var statement = try BoundStatement(db, "DELETE FROM cursors WHERE conversation = ? AND user = ? AND device = ?")
        statement.reset()
        try statement.bind(key)
        try statement.bind(user.uuid)
        try statement.bind(device.text)
        try statement.run()
    }
}
