import GRDB
import RoostModel
import RoostProtocol

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

    func forget(_ call: UInt64, of caller: RaftPeer, _ partition: PartitionID) throws {
        var statement = try BoundStatement(
            db, "DELETE FROM calls WHERE partition = ? AND node = ? AND store = ? AND id = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        try statement.bind(caller.node.name)
        try statement.bind(bits: caller.store.value)
        try statement.bind(bits: call)
        try statement.run()
    }

    func remove(key id: String, _ partition: PartitionID) throws {
        var statement = try BoundStatement(db, "DELETE FROM signing_keys WHERE partition = ? AND id = ?")
        statement.reset()
        try statement.bind(Int64(partition.value))
        try statement.bind(id)
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
