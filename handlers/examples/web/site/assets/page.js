"use strict";

const clock = new EventSource("api/clock"); // it comes again by itself when a worker leaves
clock.onmessage = (event) => { document.getElementById("clock").textContent = event.data; };

const say = document.getElementById("say");
const said = document.getElementById("said");

function connect() {
  const url = new URL("echo", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  const socket = new WebSocket(url);
  const send = () => socket.readyState === WebSocket.OPEN && socket.send(say.value);
  socket.onopen = send;
  socket.onmessage = (event) => { said.textContent = event.data; };
  socket.onclose = () => { // 1012: the worker leaves, and another is there
    say.removeEventListener("input", send);
    setTimeout(connect, 500);
  };
  say.addEventListener("input", send);
}

connect();
