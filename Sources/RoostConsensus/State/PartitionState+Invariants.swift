internal import RoostModel
internal import RoostProtocol

extension PartitionState {
    /// What must hold after every entry; each line is a breach. For tests and simulation: it walks everything.
    package func checkInvariants() -> [String] {
        var problems = sendOrders.checkInvariants() + calls.checkInvariants(limit: limits.callsRemembered)
        if positions.count != conversations.count { problems.append("conversations: index and rows differ in number") }
        var listed: [UserID: Int] = [:]
        for (at, conversation) in conversations.enumerated() {
            if position(of: conversation.id) != at { problems.append("\(conversation.id): not found at its place") }
            for problem in self.problems(in: conversation) { problems.append("\(conversation.id): \(problem)") }
            for user in conversation.members.everyone {
                listed[user, default: 0] += 1
                if !(positionsByUser[user] ?? []).contains(UInt32(at)) {
                    problems.append("\(conversation.id): not among those of \(user)")
                }
            }
        }
        for (user, positions) in positionsByUser.sorted(by: { $0.key < $1.key })
        where positions.count != listed[user] ?? 0 {
            problems.append("\(user): \(positions.count) conversations listed, member in \(listed[user] ?? 0)")
        }
        for (user, devices) in devicesByUser.sorted(by: { $0.key < $1.key }) {
            if accountsByUser[user] == nil { problems.append("\(user): devices without an account") }
            for (a, b) in zip(devices, devices.dropFirst()) where a.device >= b.device {
                problems.append("\(user): devices not sorted")
            }
        }
        if keys.count > limits.signingKeys { problems.append("too many signing keys") }
        for row in sendOrders.rows where row.index > appliedIndex {
            problems.append("send order of \(row.session) from index \(row.index), applied \(appliedIndex)")
        }
        return problems
    }

    private func problems(in conversation: ConversationState) -> [String] {
        var problems = conversation.members.checkInvariants(lastSeq: conversation.lastSeq)
        let retention = conversation.retention
        if retention.floor > conversation.lastSeq { problems.append("floor \(retention.floor) beyond the head") }
        if retention.idFloor > retention.floor { problems.append("ids forgotten above the floor") }
        let users = conversation.members.users
        let owners = users.count { conversation.members.role(of: $0) == .owner }
        if owners != min(1, users.count) { problems.append("\(owners) owners of \(users.count) members") }
        if conversation.isDirect {
            let expected = conversation.type == .self ? 1 : 2
            if let first = users.first, let last = users.last, users.count == expected {
                if conversation.id != ConversationID(direct: first, last) { problems.append("not its members' id") }
            } else {
                problems.append("\(conversation.type.name) with \(users.count) members")
            }
        }
        for slot in conversation.cursors.slots {
            if slot.seq > conversation.lastSeq { problems.append("cursor of \(slot.user) beyond the head") }
            if !conversation.members.isCurrentOrFormer(slot.user) { problems.append("cursor of a stranger") }
        }
        return problems
    }
}
