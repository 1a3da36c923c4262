internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    /// Everything in a fixed order, so that equal states have equal snapshots: by id, members and cursors by
    /// conversation first, sends by index.
    package func snapshot() -> StateSnapshot {
        let byID = conversations.indices.sorted { conversations[$0].id < conversations[$1].id }
        return StateSnapshot(
            appliedIndex: appliedIndex,
            accounts: accounts,
            devices: devicesByUser.keys.sorted().flatMap { devices(of: $0) },
            conversations: byID.map { conversations[$0].row },
            members: byID.flatMap { position in
                let conversation = conversations[position]
                return conversation.members.everyone.compactMap { user in
                    conversation.members.row(of: user).map { (conversation.id, $0) }
                }
            },
            cursors: byID.flatMap { cursors(at: $0) },
            sendOrders: sendOrders.rows,
            calls: calls.rows,
            signingKeys: keys,
            ring: ring,
            lastStamp: lastStamp)
    }

    /// Rows in any order; of two with one key the first counts, and those without their conversation are left out.
    mutating func restore(_ snapshot: StateSnapshot) {
        for record in snapshot.accounts where accountsByUser[record.user] == nil {
            accountsByUser[record.user] = record
        }
        for record in snapshot.devices {
            let position = devicesByUser[record.user, default: []].lowerBound { $0.device < record.device }
            let present = devicesByUser[record.user, default: []]
            if position < present.count && present[position].device == record.device { continue }
            devicesByUser[record.user, default: []].insert(record, at: position)
        }
        for key in snapshot.signingKeys where !keys.contains(where: { $0.id == key.id }) {
            keys.insert(key, at: keys.lowerBound { $0.id < key.id })
        }
        ring = snapshot.ring
        conversations.reserveCapacity(snapshot.conversations.count)
        positions.reserveCapacity(snapshot.conversations.count)
        for row in snapshot.conversations where positions[row.id] == nil {
            positions[row.id] = UInt32(conversations.count)
            conversations.append(ConversationState(row))
        }
        for (id, row) in snapshot.members {
            guard let position = position(of: id), !conversations[position].members.isCurrentOrFormer(row.user) else {
                continue
            }
            conversations[position].members.restore(row)
            positionsByUser[row.user, default: []].append(UInt32(position))
        }
        for cursor in snapshot.cursors {
            guard let position = position(of: cursor.conversation) else { continue }
            let device = deviceNames.intern(cursor.device)
            _ = conversations[position].cursors.advance(user: cursor.user, device: device, to: cursor.seq)
        }
        sendOrders.restore(snapshot.sendOrders)
        calls.restore(snapshot.calls)
    }
}

extension StateSnapshot: Equatable {
    package static func == (a: StateSnapshot, b: StateSnapshot) -> Bool {
        a.appliedIndex == b.appliedIndex && a.lastStamp == b.lastStamp && a.accounts == b.accounts
            && a.devices == b.devices && a.conversations == b.conversations
            && a.members.elementsEqual(b.members, by: ==) && a.cursors == b.cursors && a.sendOrders == b.sendOrders
            && a.calls == b.calls && a.signingKeys == b.signingKeys && a.ring == b.ring
    }
}
