//! From a command to what is to be done about it: read, count, allow, and only then a task.

use trunkline_dialect::command::{Command, Connect, History, Incoming, Publish, Subscribe};
use trunkline_dialect::{BadCommand, Pong, Verb, json};

use super::*;
use crate::policy::Act;

impl Peer {
    /// One command, whoever says it.
    pub(crate) fn receive_command(&mut self, now: Now, message: &[u8], manner: Manner) {
        let limits = trunkline_dialect::Limits {
            data: self.rules.limits.publication,
            ..trunkline_dialect::Limits::default()
        };
        if matches!(self.state, State::Ended(_)) {
            return;
        }
        let incoming = json::decode_command(message, &limits);
        if let (Manner::Objects, Err(bad @ BadCommand { id: None, .. })) = (manner, &incoming) {
            return self.end(Ending::no_command(bad));
        }
        if !self.allowance.command(self.rules.limits.commands, now.instant) {
            return self.refuse_for_rate(now, &incoming);
        }
        match incoming {
            Ok(Incoming::Command(command)) => self.command(now, command),
            // It has done its work by arriving: the door has heard from the client.
            Ok(Incoming::Pong(_)) => {}
            Err(bad) => self.busy().out.push_back(Encoded::from(&bad)),
        }
    }

    fn refuse_for_rate(&mut self, now: Now, incoming: &Result<Incoming, BadCommand>) {
        let rate = self.rules.limits.commands;
        let message = format!("at most {} commands a second, and {} at once", rate.per_second, rate.burst);
        if !self.allowance.refusal(rate, now.instant) {
            return self.end(Ending::new(Code::RateLimited, message));
        }
        let id = match incoming {
            Ok(Incoming::Command(command)) => Some(command.id),
            Ok(Incoming::Pong(_)) => return,
            Err(bad) => bad.id,
        };
        let error = ErrorBody::new(Code::RateLimited, message);
        match id {
            Some(_) => self.reply(id, Err(error)),
            None => self.busy().out.push_back(Encoded::from(&Push::Error(error))),
        }
    }

    fn command(&mut self, now: Now, Command { id, verb }: Command) {
        let task = if self.in_flight().contains(&id) {
            Err(ErrorBody::new(Code::Conflict, format!("a command with id {id} is in flight")))
        } else if self.in_flight().len() >= self.rules.limits.commands_in_flight {
            let limit = self.rules.limits.commands_in_flight;
            Err(ErrorBody::new(Code::TooMany, format!("at most {limit} commands in flight")))
        } else {
            self.task(now, verb)
        };
        match task {
            Ok(Next::Do(task)) => {
                self.busy().in_flight.push(id);
                self.busy().events.push_back(Event::Do(Some(id), task));
            }
            Ok(Next::Answer(body)) => self.reply(Some(id), Ok(body)),
            Err(error) => self.reply(Some(id), Err(error)),
        }
    }

    /// What a verb asks for, if the client may ask for it now.
    fn task(&mut self, now: Now, verb: Verb) -> Result<Next, ErrorBody> {
        if let Verb::Connect(Connect { credential, .. }) = verb {
            return self.connect(credential).map(Next::Do);
        }
        let State::Connected(Session { link, grant, .. }) = &self.state else {
            return Err(ErrorBody::new(Code::Unauthenticated, "connect comes first"));
        };
        let (link, policy) = (*link, &self.rules.policy);
        let may = |channel: &ChannelName, act| policy.check(grant, channel, act).cloned();
        Ok(Next::Do(match verb {
            Verb::Refresh(refresh) => Task::Refresh(refresh),
            Verb::Subscribe(Subscribe { channel, since, presence }) => {
                may(&channel, Act::Subscribe)?;
                Task::Subscribe { channel, since, presence }
            }
            Verb::Unsubscribe(unsubscribe) => Task::Unsubscribe(unsubscribe.channel),
            Verb::Publish(Publish { channel, data, exclude_self }) => {
                let namespace = may(&channel, Act::Publish)?;
                let exclude = exclude_self.then_some(link.session);
                let content = Content { data, user: grant.user.clone(), exclude };
                self.count_publish(now, &channel, &namespace)?;
                Task::Publish(channel, content)
            }
            Verb::Presence(presence) => {
                may(&presence.channel, Act::Subscribe)?;
                Task::Presence(presence.channel)
            }
            Verb::History(History { channel, since, limit, reverse }) => {
                may(&channel, Act::Subscribe)?;
                let limit = usize::try_from(limit).unwrap_or(usize::MAX).min(self.rules.limits.history);
                Task::History { channel, since, limit, reverse }
            }
            Verb::Ping(_) => return Ok(Next::Answer(Pong { time: now.unix_ms }.into())),
            // The dialect may learn verbs before this server does.
            other => {
                let message = format!("this server does not know the verb {}", other.name());
                return Err(ErrorBody::new(Code::BadRequest, message));
            }
        }))
    }

    fn connect(&mut self, credential: Credential) -> Result<Task, ErrorBody> {
        match self.state {
            State::Fresh { .. }
                if credential == Credential::Anonymous && !self.rules.policy.admits_anonymous() =>
            {
                Err(ErrorBody::new(
                    Code::Unauthenticated,
                    "no namespace here admits a client without a credential",
                ))
            }
            State::Fresh { deadline } => {
                self.state = State::Connecting { deadline };
                Ok(Task::Connect(credential))
            }
            State::Connecting { .. } => Err(ErrorBody::new(Code::Conflict, "a connect is in flight")),
            State::Connected(_) | State::Ended(_) => {
                Err(ErrorBody::new(Code::Conflict, "connected already; refresh brings new permissions"))
            }
        }
    }

    fn count_publish(&self, now: Now, channel: &ChannelName, namespace: &Namespace) -> Result<(), ErrorBody> {
        let Some(rate) = namespace.publish_rate else { return Ok(()) };
        let name = channel.namespace();
        if self.allowance.publish(name, rate, now.instant) {
            return Ok(());
        }
        let message =
            format!("at most {} publishes a second in {name}, and {} at once", rate.per_second, rate.burst);
        Err(ErrorBody::new(Code::RateLimited, message))
    }
}

/// What becomes of a command.
enum Next {
    /// It takes time.
    Do(Task),
    /// It is answered at once.
    Answer(OkBody),
}
