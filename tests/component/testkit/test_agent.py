from myx_kit.agent_rpc.client import AgentClient
from myx_testkit.agent import RealAgent


async def test_the_real_agent_answers_the_real_client_before_and_after_kill_9(real_agent: RealAgent) -> None:
    target = real_agent.target
    async with AgentClient() as client:
        assert (await client.call(target, "health_check", {}))["status"] == "ok"
        started = {"command": "sleep", "args": ["1000"], "command_id": "it"}
        assert (await client.call(target, "execute_command", started))["status"] == "running"
        real_agent.kill9()
        real_agent.restart()
        assert (await client.call(target, "heartbeat", {"timestamp": 0}))["running_commands"] == 1
    assert "it" in real_agent.stop_commands()
